"""Networks that other pruning tools get wrong, and ours."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from torch import nn

from penjing.compiler.coupling import analyze, shrink, zero_out
from penjing.compiler.coupling.flow import Attention
from penjing.compiler.ir.program import Program
from tests.coupling import cases
from tests.coupling.harness import (
    Pruned,
    assert_pruned_like_masked,
    prune_randomly,
    reasons,
    summary,
    traced,
)
from tests.zoo import Inputs, make

RATIOS = (0.25, 0.5, 0.75)


def random(*shape: int) -> torch.Tensor:
    """The same values at every call."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(len(shape)))


_SEQUENCE = (random(2, 7, 16),)
_PER_HEAD = random(1, 4, 7, 7)

Case = tuple[Callable[[], nn.Module], Inputs, list[str]]
CASES: dict[str, Case] = {
    "residual, concat, split, depthwise, grouped, gate": (
        cases.Block,
        (random(1, 3, 8, 8),),
        ["stem: 4 channels", "side: 4 channels", "mix: 6 channels", "down: 4 channels"],
    ),
    "heads by view": (cases.Heads, _SEQUENCE, ["query: 4 heads"]),
    "grouped queries with a mask for each head": (
        lambda: cases.Heads(4, 2, _PER_HEAD),
        _SEQUENCE,
        ["query: 2 heads"],
    ),
    "grouped queries of the operator": (cases.GroupedQueries, _SEQUENCE, ["query: 2 heads"]),
    "packed queries, keys and values": (cases.Packed, _SEQUENCE, ["qkv: 4 heads"]),
    "cross attention": (
        cases.Multihead,
        (*_SEQUENCE, random(2, 5, 16)),
        ["source: 10 features", "attention: 4 heads", "attention.out_proj: 16 features"],
    ),
    "rotary embeddings": (cases.Rotary, _SEQUENCE, ["query: 4 heads"]),
    "convolution over time": (cases.Temporal, (random(2, 4, 9),), ["first: 8 channels"]),
    "detector": (
        cases.Detector,
        (random(1, 3, 9, 9),),
        ["first: 4 channels", "first#2: 4 channels", "join: 6 channels", "wide: 6 channels"],
    ),
    "lstm": (
        lambda: cases.Recurrences(nn.LSTM, bidirectional=False),
        (random(2, 4, 5),),
        ["first: 6 features", "layer: 8 features"],
    ),
    "gru in both directions": (
        lambda: cases.Recurrences(nn.GRU, bidirectional=True),
        (random(2, 4, 5),),
        ["first: 6 features", "layer: 8 features"],
    ),
    "rnn": (
        lambda: cases.Recurrences(nn.RNN, bidirectional=False),
        (random(2, 4, 5),),
        ["first: 6 features", "layer: 8 features"],
    ),
    "tied embedding": (cases.Tied, (torch.arange(5)[None],), ["embed: 8 features"]),
}


@cache
def program_of(name: str) -> tuple[Program, list[torch.Tensor]]:
    """The program of a case, and inputs; not to be changed."""
    make_model, inputs, _ = CASES[name]
    torch.manual_seed(0)
    return traced(make_model().eval(), inputs)


def pruned_case(
    name: str, ratio: float, attention: Attention = "heads"
) -> tuple[Pruned, list[torch.Tensor]]:
    """A case pruned at random, and inputs."""
    program, flat = program_of(name)
    return prune_randomly(program, ratio, seed=int(100 * ratio), attention=attention), flat


@pytest.mark.parametrize("ratio", RATIOS)
@pytest.mark.parametrize("name", CASES)
def test_case(name: str, ratio: float) -> None:
    pruned, flat = pruned_case(name, ratio)
    assert summary(pruned.coupling) == CASES[name][2]
    assert_pruned_like_masked(pruned, flat)


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("heads by view", ["query: 6 head_dim", "value: 6 head_dim"]),
        ("grouped queries of the operator", ["query: 4 head_dim", "value: 4 head_dim"]),
        ("packed queries, keys and values", ["qkv: 4 head_dim"]),
        ("rotary embeddings", ["query: 2 head_dim", "value: 4 head_dim"]),
    ],
)
def test_dimensions_of_heads(name: str, groups: list[str]) -> None:
    pruned, flat = pruned_case(name, 0.5, "head_dim")
    assert summary(pruned.coupling) == groups
    assert_pruned_like_masked(pruned, flat)


def test_mobilenet_with_odd_channel_counts() -> None:
    program, flat = traced(*make("own_mobilenet_v2"))
    original = program.copy()
    coupling = analyze(program)
    generator = np.random.default_rng(0)
    keep = {
        group: generator.permutation(group.size) < group.size // 4 * 2 + 1
        for group in coupling.groups
    }
    assert all(mask.sum() % 2 for mask in keep.values())
    masked = zero_out(program, coupling, {group: ~mask for group, mask in keep.items()})
    shrink(program, coupling, keep)
    assert_pruned_like_masked(Pruned(program, masked, original, coupling, keep), flat)


def test_a_norm_by_hand_locks_what_it_is_taken_over() -> None:
    program, _ = traced(cases.NormByHand(), (random(4, 6),))
    coupling = analyze(program)
    assert coupling.groups == ()
    assert reasons(coupling)["first"] == "a mean over it"
    through = analyze(program, through_norms=True)
    assert summary(through) == ["first: 10 hidden"]
    assert not through.groups[0].exact


def test_a_norm_by_hand_is_then_that_of_the_rest() -> None:
    torch.manual_seed(0)
    model, inputs = cases.NormByHand(), (random(4, 6),)
    pruned = prune_randomly(traced(model, inputs)[0], 0.5, through_norms=True)
    (mask,) = pruned.keep.values()
    kept = torch.from_numpy(np.flatnonzero(mask))
    model.first.weight = nn.Parameter(model.first.weight[kept])
    model.first.bias = nn.Parameter(model.first.bias[kept])
    model.scale = nn.Parameter(model.scale[kept])
    model.last.weight = nn.Parameter(model.last.weight[:, kept])
    torch.testing.assert_close(pruned.program.run(*inputs), model(*inputs))


def test_what_is_added_to_an_input_is_locked() -> None:
    program, _ = traced(cases.AddedToInput(), (random(2, 6),))
    assert reasons(analyze(program)) == {
        "first": "it goes with input x",
        "last": "it is an output of the program",
    }
