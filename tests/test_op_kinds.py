"""The table of operators, and what precision may follow it."""

import pytest
import torch
from torch import nn
from torch.fx import Node

import penjing
from penjing.compiler.ir.op_kinds import Kind, kind_of
from penjing.passes.narrow_ops import is_layer, may_follow


def only_call(model: nn.Module, *shape: int) -> Node:
    program = penjing.trace(model.eval(), (torch.randn(shape),))
    node, *others = [node for node in program.graph.nodes if node.op == "call_function"]
    assert isinstance(node, Node) and not others
    return node


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.MaxPool1d(2), (1, 2, 8)),
        (nn.MaxPool2d(2), (1, 2, 8, 8)),
        (nn.AvgPool2d(2), (1, 2, 8, 8)),
        (nn.AvgPool3d(2), (1, 2, 4, 4, 4)),
        (nn.AdaptiveAvgPool2d(3), (1, 2, 8, 8)),
        (nn.Upsample(scale_factor=2), (1, 2, 4, 4)),
    ],
    ids=str,
)
def test_windows_are_anchors_that_may_be_narrow(model: nn.Module, shape: tuple[int, ...]) -> None:
    node = only_call(model, *shape)
    assert kind_of(node) is Kind.ANCHOR
    assert may_follow(node)
    assert not is_layer(node)


@pytest.mark.parametrize(
    ("model", "shape"), [(nn.Softmax(-1), (2, 8)), (nn.LayerNorm(8), (2, 8))], ids=str
)
def test_normalizations_are_reductions_that_may_be_narrow(
    model: nn.Module, shape: tuple[int, ...]
) -> None:
    node = only_call(model, *shape)
    assert kind_of(node) is Kind.REDUCE
    assert may_follow(node)


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        (nn.PixelShuffle(2), (1, 4, 3, 3)),
        (nn.ChannelShuffle(2), (1, 4, 3, 3)),
    ],
    ids=str,
)
def test_moves_may_be_narrow(model: nn.Module, shape: tuple[int, ...]) -> None:
    node = only_call(model, *shape)
    assert kind_of(node) is Kind.MOVE
    assert may_follow(node)


def test_layers_are_anchors() -> None:
    for model, shape in ((nn.Conv1d(2, 2, 1), (1, 2, 4)), (nn.Linear(4, 4), (2, 4))):
        node = only_call(model, *shape)
        assert kind_of(node) is Kind.ANCHOR
        assert is_layer(node)
