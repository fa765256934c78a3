"""The choice among ways to compute layers, and the arenas of four networks."""

from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.compiler.lowering.program import Lowered
from penjing.compiler.planning import plan_memory
from penjing.compiler.planning_ways import SLACK, choose_ways, with_ways

from .lowered_builder import LoweredBuilder
from .test_planning import ArenaSimulation
from .tiny_arenas import Network, PlainWay, autoencoder, keyword_spotting, mobilenet, resnet8


@pytest.mark.parametrize(
    ("network", "most_bytes"),
    [(resnet8, 34_300), (mobilenet, 39_300), (keyword_spotting, 9_400), (autoencoder, 768)],
)
def test_the_networks_of_mlperf_tiny_fit(network: Callable[[], Network], most_bytes: int) -> None:
    net = network()
    lowered = net.finish()
    chosen = choose_ways(lowered, net.ways)
    planned = with_ways(lowered, {step: net.ways[step][way] for step, way in chosen.items()})
    plan = plan_memory(planned, align=8)
    ArenaSimulation(planned, plan, align=8).run()
    assert plan.arena_bytes <= most_bytes
    assert plan.arena_bytes == plan.lower_bound_bytes


def test_plain_lifetimes_would_need_more() -> None:
    net = resnet8()
    plan = plan_memory(
        with_ways(net.finish(), dict.fromkeys(net.ways, PlainWay(0, (), 0))), align=8
    )
    assert plan.arena_bytes == 49_152


@st.composite
def choices(draw: st.DrawFn) -> tuple[Lowered, dict[int, list[PlainWay]]]:
    """Short chains with residual sums, two ways for each layer."""
    build = LoweredBuilder()
    sizes = st.integers(1, 40).map(lambda n: n * 64)
    values = [build.input(8, dtype="int8")]
    ways = {}
    for step in range(draw(st.integers(1, 5))):
        reads = [values[-1], *([values[-2]] if step > 1 and draw(st.booleans()) else [])]
        values += build.call(f"k{step}", reads, (draw(sizes),), dtype="int8")
        leads = st.tuples(*[st.sampled_from([None, 0, 128, 1024])] * len(reads))
        scratch = st.sampled_from([0, 64, 512, 2048])
        ways[step] = [
            PlainWay(draw(scratch), draw(leads), draw(st.integers(1, 9))) for _ in range(2)
        ]
    return build.build(*build.call("last", [values[-1]], (1,), dtype="int8")), ways


@settings(max_examples=60, deadline=None)
@given(choices())
def test_the_arena_is_the_smallest_of_all_choices_but_for_the_slack(
    problem: tuple[Lowered, dict[int, list[PlainWay]]],
) -> None:
    lowered, ways = problem
    chosen = choose_ways(lowered, ways)
    tight = choose_ways(lowered, ways, most_bytes=0)
    least = min(_arena(lowered, ways, both) for both in product((0, 1), repeat=len(ways)))
    assert _arena(lowered, ways, tuple(chosen.values())) <= least + SLACK
    assert _arena(lowered, ways, tuple(tight.values())) == least


def _arena(lowered: Lowered, ways: dict[int, list[PlainWay]], chosen: tuple[int, ...]) -> int:
    picked = {step: ways[step][way] for step, way in enumerate(chosen)}
    return plan_memory(with_ways(lowered, picked), align=8).arena_bytes


def test_layers_away_from_the_peak_take_the_fast_way() -> None:
    build = LoweredBuilder()
    (wide,) = build.call("k0", [build.input(1)], (4000,))
    (small,) = build.call("k1", [wide], (100,))
    lowered = build.build(*build.call("k2", [small], (1,)))
    fast, slow = PlainWay(12_000, (None,), 1.0), PlainWay(0, (None,), 9.0)
    assert choose_ways(lowered, {0: [fast, slow], 1: [fast, slow], 2: [fast, slow]}) == {
        0: 1,
        1: 1,
        2: 0,
    }
