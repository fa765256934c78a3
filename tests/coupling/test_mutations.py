"""The comparison with masked programs catches rules that are wrong in small ways."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.fx import Node

from penjing.compiler.coupling import constraints
from penjing.compiler.coupling.atoms import Atoms, Ints
from penjing.compiler.coupling.flow import Flow
from penjing.compiler.coupling.labels import Block, Labels
from penjing.compiler.coupling.registry import RULES
from penjing.compiler.coupling.rules import attention, convolution, elementwise, moves, norms
from penjing.compiler.errors import CompileError
from tests.coupling.functions import BETWEEN
from tests.coupling.harness import assert_pruned_like_masked, prune_randomly, traced
from tests.coupling.test_cases import pruned_case

_ATEN = torch.ops.aten
Patch = pytest.MonkeyPatch
CAUGHT = (AssertionError, CompileError, ValueError, RuntimeError, IndexError)


def check_case(name: str, attention: Any = "heads") -> None:
    """Prune a case at random and compare."""
    pruned, flat = pruned_case(name, 0.5, attention)
    assert pruned.keep
    assert_pruned_like_masked(pruned, flat)


def check_between(name: str) -> None:
    """Prune two layers with a function between them and compare."""
    torch.manual_seed(0)
    model, inputs = BETWEEN[name].model()
    program, flat = traced(model.eval(), inputs)
    assert_pruned_like_masked(prune_randomly(program, 0.5), flat)


def concatenation_reversed(patch: Patch) -> None:
    def rule(flow: Flow, node: Node, operands: list[Node], dim: int) -> Labels:
        return moves.cat(flow, node, operands[::-1], dim)

    patch.setitem(RULES, _ATEN.cat.default, rule)


def slices_begin_at_the_first(patch: Patch) -> None:
    def rule(flow: Flow, node: Node, x: Node, dim: int, start: int, end: int, step: int) -> Labels:
        return moves.slice_(flow, node, x, dim, 0, end - start, step)

    patch.setitem(RULES, _ATEN.slice.Tensor, rule)


def sizes_of_views_stay(patch: Patch) -> None:
    original = RULES[_ATEN.reshape.default]

    def rule(flow: Flow, *arguments: Any) -> Any:
        labels = original(flow, *arguments)
        flow.rewrites.pop()
        return labels

    patch.setitem(RULES, _ATEN.reshape.default, rule)


def depthwise_channels_shifted(patch: Patch) -> None:
    original = convolution._tied

    def tied(flow: Flow, channels: Ints, groups: int, *, axis: int) -> Ints:
        first = original(flow, channels, groups, axis=axis)
        return np.roll(first, 1) if len(channels) == 24 else first

    patch.setattr(convolution, "_tied", tied)


def groups_of_convolutions_not_tied(patch: Patch) -> None:
    def tied(flow: Flow, channels: Ints, groups: int, *, axis: int) -> Ints:
        return channels.reshape(groups, -1).take([0], axis).ravel()

    patch.setattr(convolution, "_tied", tied)


def number_of_groups_stays(patch: Patch) -> None:
    patch.setattr(convolution, "_count_groups", lambda *_: None)


def scale_of_attention_not_frozen(patch: Patch) -> None:
    patch.setattr(attention, "_freeze_scale", lambda *_: None)


def query_heads_share_in_the_wrong_order(patch: Patch) -> None:
    original = attention._repeated

    def repeated(flow: Flow, labels: Labels, heads: int) -> Labels:
        result = original(flow, labels, heads)
        if result is labels:
            return labels
        dim = len(labels.shape) - 3
        atoms = np.tile(labels.atoms(dim), heads // labels.shape[dim])
        return result.with_block(dim, Block((dim,), atoms))

    patch.setattr(attention, "_repeated", repeated)


def parts_of_heads_not_tied(patch: Patch) -> None:
    def lock_dim(flow: Flow, labels: Labels, dim: int, reason: str) -> Labels:
        block = labels.block(dim % len(labels.shape))
        if not block.is_joint:
            flow.lock(block.atoms, reason)
            return labels
        union, flow.atoms.union = flow.atoms.union, lambda *_: None  # type: ignore[method-assign]
        result = original(flow, labels, dim, reason)
        flow.atoms.union = union  # type: ignore[method-assign]
        return result

    original = Flow.lock_dim
    patch.setattr(Flow, "lock_dim", lock_dim)
    patch.setattr(constraints.Box, "settle", lambda *_: False)


def layer_norm_not_locked(patch: Patch) -> None:
    original = norms.layer_norm

    def rule(flow: Flow, *arguments: Any) -> Labels:
        flow.through_norms = True
        labels = original(flow, *arguments)
        flow.through_norms = False
        return labels

    patch.setitem(RULES, _ATEN.layer_norm.default, rule)


def nothing_ever_locked(patch: Patch) -> None:
    patch.setattr(Flow, "lock", lambda *_: None)


def zeros_expected_after_anything(patch: Patch) -> None:
    patch.setattr(elementwise, "_gives_zero", lambda *_: True)


def broadcasts_not_united(patch: Patch) -> None:
    original = Atoms.union

    def union(atoms: Atoms, left: Ints, right: Ints) -> None:
        if left.shape != right.shape or left.ndim != 1 or len(left) != 12:
            original(atoms, left, right)

    patch.setattr(Atoms, "union", union)


Mutation = tuple[Callable[[Patch], None], Callable[[], None]]
MUTATIONS: list[Mutation] = [
    (concatenation_reversed, lambda: check_between("chunks exchanged")),
    (concatenation_reversed, lambda: check_case("detector")),
    (slices_begin_at_the_first, lambda: check_between("uneven split")),
    (slices_begin_at_the_first, lambda: check_case("rotary embeddings", "head_dim")),
    (sizes_of_views_stay, lambda: check_case("heads by view")),
    (depthwise_channels_shifted, lambda: check_between("depthwise that widens")),
    (groups_of_convolutions_not_tied, lambda: check_between("grouped, wide groups")),
    (groups_of_convolutions_not_tied, lambda: check_between("transposed, many groups")),
    (number_of_groups_stays, lambda: check_between("depthwise")),
    (
        scale_of_attention_not_frozen,
        lambda: check_case("grouped queries of the operator", "head_dim"),
    ),
    (query_heads_share_in_the_wrong_order, lambda: check_case("grouped queries of the operator")),
    (parts_of_heads_not_tied, lambda: check_case("heads by view")),
    (layer_norm_not_locked, lambda: check_between("layer norm")),
    (nothing_ever_locked, lambda: check_between("softmax over it")),
    (nothing_ever_locked, lambda: check_between("mean gate")),
    (zeros_expected_after_anything, lambda: check_between("linear attention")),
    (zeros_expected_after_anything, lambda: check_between("sum gate of sigmoid")),
    (broadcasts_not_united, lambda: check_between("layer scale")),
]


@pytest.mark.parametrize(("mutate", "check"), MUTATIONS, ids=lambda each: each.__name__)
def test_a_wrong_rule_is_caught(
    mutate: Callable[[Patch], None], check: Callable[[], None], monkeypatch: Patch
) -> None:
    check()
    mutate(monkeypatch)
    with pytest.raises(CAUGHT):
        check()
