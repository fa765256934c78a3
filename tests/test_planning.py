"""The memory planner, judged by a simulation that knows nothing of lifetimes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.compiler.lowering.program import Call, Lowered
from penjing.compiler.planning import ARENA_ALIGN, MemoryPlan, plan_memory

from .lowered_builder import LoweredBuilder

GARBAGE = -1


class ArenaSimulation:
    """Runs the calls on tags: every byte remembers which value was written there last."""

    def __init__(self, lowered: Lowered, plan: MemoryPlan, align: int = ARENA_ALIGN) -> None:
        self.lowered, self.plan, self.align = lowered, plan, align
        self.tags: dict[str, int] = {}
        self.arena = np.full(plan.arena_bytes, GARBAGE)
        self.outputs = [
            np.full(lowered.values[name].spec.nbytes, GARBAGE) for name in lowered.outputs
        ]

    def run(self) -> None:
        for name in self.lowered.inputs:
            if name in self.plan.offsets:
                self._bytes(name)[:] = self._tag(name)
        for call in self.lowered.calls:
            self._run_call(call)
        copied = {position for _, position in self.plan.copies}
        for source, position in self.plan.copies:
            self._check(source)
            assert self._root(source) == self._root(self.lowered.outputs[position])
        for position, name in enumerate(self.lowered.outputs):
            if position not in copied:
                assert self.plan.direct[name] == position
                self._check(name)

    def _run_call(self, call: Call) -> None:
        """A kernel may write its results and workspaces at any time while it still reads."""
        for name in call.reads:
            self._check(name)
        scratch = call.arguments[len(call.reads) + len(call.writes) :]
        for name in (*scratch, *call.writes):
            protected = [r for i, r in enumerate(call.reads) if not self._may_share(call, i, name)]
            before = self._bytes(name).copy()
            self._bytes(name)[:] = GARBAGE
            for read in protected:
                self._check(read)
            self._bytes(name)[:] = before
        for index, read in enumerate(call.reads):
            lead = call.leads[index] if index < len(call.leads) else None
            if lead is not None and self._is_placed(read):
                self._check_lead(read, call.writes[0], lead)
                self._check_unit(read, call.writes[0], lead, call.lead_unit)
        for name in (*scratch, *call.writes):
            self._bytes(name)[:] = self._tag(name)
        for name in (*scratch, *call.writes):
            self._check(name)

    def _check_lead(self, read: str, result: str, lead: int) -> None:
        """The result is written byte by byte, reading as late as the lead allows."""
        source, target = self._bytes(read), self._bytes(result)
        whole = self.arena.copy()
        for written in sorted({*range(0, len(target), 32), len(target)}):
            target[:written] = GARBAGE
            unread = source[max(0, written - lead) :]
            assert (unread == self._tag(read)).all(), (read, result, written)
        self.arena[:] = whole

    def _check_unit(self, read: str, result: str, lead: int, unit: int) -> None:
        """Memory is shared only at distances that the layer allows."""
        if self._is_placed(result) and result not in self.plan.direct:
            start, end = self.plan.offsets[result], self.plan.offsets[read]
            lengths = len(self._bytes(result)), len(self._bytes(read))
            shares = start < end + lengths[1] and end < start + lengths[0] and all(lengths)
            assert not shares or (end - start - lead) % unit == 0

    def _may_share(self, call: Call, read: int, result: str) -> bool:
        has_lead = read < len(call.leads) and call.leads[read] is not None
        return (has_lead and result in call.writes) or any(
            read == r and call.writes[w] == result for r, w in call.inplace
        )

    def _check(self, name: str) -> None:
        if self._is_placed(name):
            assert (self._bytes(name) == self._tag(name)).all(), name

    def _is_placed(self, name: str) -> bool:
        return name in self.plan.offsets or name in self.plan.direct

    def _bytes(self, name: str) -> np.ndarray:
        size = self.lowered.values[name].spec.nbytes
        if name in self.plan.direct:
            return self.outputs[self.plan.direct[name]]
        start = self.plan.offsets[name]
        assert start % self.align == 0
        assert start + size <= self.plan.arena_bytes
        return self.arena[start : start + size]

    def _tag(self, name: str) -> int:
        return self.tags.setdefault(self._root(name), len(self.tags))

    def _root(self, name: str) -> str:
        while (parent := self.lowered.values[name].alias_of) is not None:
            name = parent
        return name


def check(lowered: Lowered, align: int = ARENA_ALIGN, inputs_in_arena: bool = False) -> MemoryPlan:
    plan = plan_memory(lowered, align=align, inputs_in_arena=inputs_in_arena)
    ArenaSimulation(lowered, plan, align).run()
    assert plan.lower_bound_bytes <= plan.arena_bytes
    assert not set(plan.offsets) & set(plan.direct)
    return plan


@st.composite
def programs(draw: st.DrawFn) -> Lowered:
    """Calls with several results, workspaces, in-place pairs, views of views, repeated outputs."""
    build = LoweredBuilder()
    sizes = st.sampled_from([0, 1, 15, 16, 17, 64, 100, 256])
    values = [build.input(draw(sizes)) for _ in range(draw(st.integers(1, 2)))]
    values.append(build.constant(np.ones(16, np.float32)))
    for step in range(draw(st.integers(0, 14))):
        reads = draw(st.lists(st.sampled_from(values), min_size=1, max_size=3))
        same = build.values[reads[0]].spec.size
        shapes = [(draw(st.one_of(st.just(same), sizes)),) for _ in range(draw(st.integers(1, 2)))]
        pairs = [
            (r, w)
            for r, read in enumerate(reads)
            for w, (size,) in enumerate(shapes)
            if build.values[read].spec.size == size and draw(st.booleans())
        ]
        scratch = tuple(draw(st.lists(sizes, max_size=2)))
        results = build.call(f"k{step}", reads, *shapes, workspaces=scratch, inplace=tuple(pairs))
        values.extend(results)
        if draw(st.booleans()):
            viewed = draw(st.sampled_from(values))
            values.append(build.view(viewed, build.values[viewed].spec.size, 1))
    return build.build(*draw(st.lists(st.sampled_from(values), min_size=1, max_size=4)))


@settings(max_examples=150, deadline=None)
@given(programs())
def test_no_kernel_overwrites_what_is_still_needed(lowered: Lowered) -> None:
    check(lowered)


@st.composite
def programs_with_leads(draw: st.DrawFn) -> Lowered:
    """Calls that may leave their result before any of their inputs."""
    build = LoweredBuilder()
    sizes = st.sampled_from([200, 8, 100, 15, 1, 0])
    values = [build.input(draw(sizes), dtype="int8") for _ in range(draw(st.integers(1, 2)))]
    for step in range(draw(st.integers(2, 10))):
        reads = draw(st.lists(st.sampled_from(values[-2:][::-1]), min_size=1, max_size=2))
        leads = draw(st.lists(st.one_of(st.integers(-9, 90), st.none()), max_size=len(reads)))
        scratch = tuple(draw(st.lists(sizes, max_size=1)))
        values += build.call(
            f"k{step}",
            reads,
            (draw(sizes),),
            dtype="int8",
            workspaces=scratch,
            leads=tuple(leads),
            lead_unit=draw(st.sampled_from([1, 4, 24])),
        )
        if draw(st.integers(0, 3)) == 3:
            viewed = draw(st.sampled_from(values[-2:]))
            values.append(build.view(viewed, build.values[viewed].spec.size, 1))
    (last,) = build.call("last", values[-1:], (1,))
    return build.build(last, *draw(st.lists(st.sampled_from(values), max_size=1)))


@settings(max_examples=150, deadline=None)
@given(programs_with_leads(), st.booleans())
def test_no_byte_is_overwritten_before_it_was_read(lowered: Lowered, in_arena: bool) -> None:
    check(lowered, align=8, inputs_in_arena=in_arena)


def test_a_chain_of_layers_with_leads_needs_little_more_than_one_buffer() -> None:
    build = LoweredBuilder()
    (value,) = build.call("k0", [build.input(1000)], (1000,))
    for step in range(1, 5):
        (value,) = build.call(f"k{step}", [value], (1000,), leads=(64,))
    plan = check(build.build(*build.call("last", [value], (3,))), align=8)
    assert plan.arena_bytes == plan.lower_bound_bytes == 4000 + 4 * 64


def test_a_result_twice_as_large_ends_where_its_input_ends() -> None:
    build = LoweredBuilder()
    (value,) = build.call("k0", [build.input(1)], (100,))
    (wide,) = build.call("k1", [value], (200,), leads=(400,))
    plan = check(build.build(*build.call("k2", [wide], (1,))), align=8)
    assert (plan.offsets[wide], plan.offsets[value], plan.arena_bytes) == (0, 400, 800)


def test_inputs_in_the_arena_are_overwritten() -> None:
    build = LoweredBuilder()
    x = build.input(100)
    (value,) = build.call("k0", [x], (100,), leads=(0,))
    lowered = build.build(*build.call("k1", [value], (1,)))
    plan = check(lowered, align=8, inputs_in_arena=True)
    assert (plan.arena_bytes, plan.offsets) == (400, {x: 0, value: 0})
    assert check(lowered, align=8).offsets == {value: 0}


def test_a_chain_of_in_place_calls_needs_one_buffer() -> None:
    build = LoweredBuilder()
    (value,) = build.call("k0", [build.input(100)], (100,))
    for step in range(1, 5):
        (value,) = build.call(f"k{step}", [value], (100,), inplace=((0, 0),))
    plan = check(build.build(*build.call("last", [value], (3,))))
    assert plan.arena_bytes == plan.lower_bound_bytes == 448
    assert set(plan.live.values()) == {(0, 1), (1, 2), (2, 3), (3, 4), (4, 5)}


def test_a_value_read_again_later_is_not_overwritten() -> None:
    build = LoweredBuilder()
    (first,) = build.call("k0", [build.input(64)], (64,))
    (second,) = build.call("k1", [first], (64,), inplace=((0, 0),))
    plan = check(build.build(*build.call("k2", [first, second], (64,))))
    assert plan.arena_bytes == 2 * 256


def test_a_value_read_twice_by_one_call_is_overwritten_only_if_both_reads_allow_it() -> None:
    build = LoweredBuilder()
    (first,) = build.call("k0", [build.input(64)], (64,))
    (second,) = build.call("k1", [first, first], (64,), inplace=((0, 0),))
    (third,) = build.call("k2", [second, second], (64,), inplace=((0, 0), (1, 0)))
    plan = check(build.build(*build.call("k3", [third], (1,))))
    assert plan.offsets[first] != plan.offsets[second] == plan.offsets[third]


def test_views_share_the_bytes_of_what_they_view() -> None:
    build = LoweredBuilder()
    (value,) = build.call("k0", [build.input(6)], (6,))
    view = build.view(build.view(value, 2, 3), 3, 2)
    plan = check(build.build(*build.call("k1", [view], (6,))))
    assert plan.offsets[view] == plan.offsets[value]
    assert plan.live[view] == (0, 1)


def test_a_result_goes_straight_into_the_callers_buffer() -> None:
    build = LoweredBuilder()
    (value,) = build.call("k0", [build.input(6)], (6,))
    view = build.view(value, 2, 3)
    (other,) = build.call("k1", [value], (4,))
    plan = check(build.build(other, view))
    assert plan.direct == {value: 1, view: 1, other: 0}
    assert (plan.arena_bytes, plan.copies, plan.offsets) == (0, (), {})


def test_outputs_that_no_kernel_can_write_are_copied() -> None:
    build = LoweredBuilder()
    x, c = build.input(4), build.constant(np.zeros(4, np.float32))
    (value,) = build.call("k0", [x], (4,))
    plan = check(build.build(build.view(x, 2, 2), c, value, value, build.view(value, 2, 2)))
    assert [position for _, position in plan.copies] == [0, 1, 3, 4]


def test_what_an_in_place_call_would_destroy_stays_in_the_output() -> None:
    build = LoweredBuilder()
    (value,) = build.call("k0", [build.input(16)], (16,))
    (result,) = build.call("k1", [value], (16,), inplace=((0, 0),))
    plan = check(build.build(value, *build.call("k2", [result], (1,))))
    assert plan.direct[value] == 0
    assert plan.arena_bytes == 64


def test_a_read_of_something_never_written_is_refused() -> None:
    build = LoweredBuilder()
    build.input(4)
    (value,) = build.call("k0", ["x0"], (4,))
    lowered = build.build(*build.call("k1", [value], (4,)))
    broken = Lowered(**{**vars(lowered), "calls": lowered.calls[::-1]})
    with pytest.raises(ValueError, match=r"k1 \(call 0\) reads v1 before it is written"):
        plan_memory(broken)
    with pytest.raises(ValueError, match="output v2 is never written"):
        plan_memory(Lowered(**{**vars(lowered), "calls": lowered.calls[:1]}))


def residual_network(blocks: int) -> Lowered:
    """Blocks of three calls, the third of which also reads what the block began with."""
    build = LoweredBuilder()
    sizes = np.random.default_rng(0).integers(1_000, 60_000, blocks)
    (value,) = build.call("k", [build.input(1000)], (int(sizes[0]),))
    for size in sizes.tolist():
        (wide,) = build.call("k", [value], (6 * size,))
        (wide,) = build.call("k", [wide], (6 * size,), workspaces=(500,), inplace=((0, 0),))
        (narrow,) = build.call("k", [wide], (size,))
        (value,) = build.call("k", [narrow, value], (size,), inplace=((0, 0),))
    return build.build(*build.call("k", [value], (10,)))


def test_big_networks_are_placed_close_to_the_bound() -> None:
    plan = plan_memory(residual_network(500))
    assert plan.arena_bytes <= 1.05 * plan.lower_bound_bytes


def dense_network(layers: int) -> Lowered:
    """Every layer reads all layers before it, so nearly everything stays alive."""
    build = LoweredBuilder()
    values = [build.input(1000)]
    for layer in range(layers):
        values += build.call("k", values, (700 + 13 * layer,), workspaces=(3000,))
    return build.build(*build.call("k", values, (10,)))


def test_dense_networks_are_placed_close_to_the_bound() -> None:
    plan = check(dense_network(60))
    assert plan.arena_bytes <= 1.02 * plan.lower_bound_bytes
