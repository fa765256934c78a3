from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.fx import Node

from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.inference import set_value
from penjing.compiler.ir.program import Program
from penjing.compiler.ir.rewrite import insert_call
from penjing.compiler.pass_manager import optimize
from penjing.passes import RemoveNoOps
from tests.support import assert_close

aten = torch.ops.aten
X = torch.randn(2, 3, 4, 4)


class _Doubled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.full((3, 1, 1), 2.0))

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.scale).relu()


@cache
def _plain() -> Program:
    return trace(_Doubled(), X)


def _with_call(make: Callable[[Node, Node], Node]) -> Program:
    """The program of relu(make(x * 2)): a call that a pass could have inserted."""
    program = _plain().copy()
    (relu,) = program.output_nodes
    relu.args = (make(relu, relu.all_input_nodes[0]),)
    set_value(relu)
    return program


def _constant(node: Node, value: float, shape: tuple[int, ...] = (3, 1, 1), **how: Any) -> Node:
    """A weight whose elements all are `value`."""
    module = node.graph.owning_module
    assert module is not None
    return replace(_plain(), module=module).add_weight(torch.full(shape, value, **how))


NO_OPS: dict[str, Callable[[Node, Node], Node]] = {
    "alias": lambda at, y: insert_call(at, aten.alias.default, y),
    "clone": lambda at, y: insert_call(at, aten.clone.default, y),
    "dropout": lambda at, y: insert_call(at, aten.dropout.default, y, 0.5, False),
    "cast to its type": lambda at, y: insert_call(
        at, aten._to_copy.default, y, dtype=torch.float32
    ),
    "reshape to its shape": lambda at, y: insert_call(at, aten.reshape.default, y, [2, 3, 4, -1]),
    "expand to its shape": lambda at, y: insert_call(at, aten.expand.default, y, [2, -1, 4, 4]),
    "slice of all": lambda at, y: insert_call(at, aten.slice.Tensor, y, 1, 0, 9),
    "permute in order": lambda at, y: insert_call(at, aten.permute.default, y, [0, 1, 2, -1]),
    "join of one": lambda at, y: insert_call(at, aten.cat.default, [y], 1),
    "pad by nothing": lambda at, y: insert_call(at, aten.pad.default, y, [0, 0]),
    "add 0": lambda at, y: insert_call(at, aten.add.Tensor, y, 0),
    "0 + y": lambda at, y: insert_call(at, aten.add.Tensor, _constant(y, 0), y),
    "subtract 0": lambda at, y: insert_call(at, aten.sub.Tensor, y, _constant(y, 0)),
    "multiply by 1": lambda at, y: insert_call(at, aten.mul.Tensor, y, _constant(y, 1)),
    "1 * y": lambda at, y: insert_call(at, aten.mul.Tensor, _constant(y, 1), y),
    "divide by 1": lambda at, y: insert_call(at, aten.div.Tensor, y, 1.0),
    "power 1": lambda at, y: insert_call(at, aten.pow.Tensor_Scalar, y, 1),
    "where true": lambda at, y: insert_call(
        at, aten.where.self, _constant(y, True, dtype=torch.bool), y, y
    ),
    "masked nowhere": lambda at, y: insert_call(
        at, aten.masked_fill.Scalar, y, _constant(y, False, dtype=torch.bool), 7
    ),
    "pool of 1": lambda at, y: insert_call(at, aten.avg_pool2d.default, y, [1, 1]),
    "pool to its size": lambda at, y: insert_call(at, aten.adaptive_avg_pool2d.default, y, [4, 4]),
    "resize to its size": lambda at, y: insert_call(
        at, aten.upsample_nearest2d.vec, y, [4, 4], None
    ),
}
OPERATIONS: dict[str, Callable[[Node, Node], Node]] = {
    "dropout in training": lambda at, y: insert_call(at, aten.dropout.default, y, 0.5, True),
    "reshape": lambda at, y: insert_call(at, aten.reshape.default, y, [2, 3, 16]),
    "cast": lambda at, y: insert_call(at, aten._to_copy.default, y, dtype=torch.float64),
    "permute of equal sizes": lambda at, y: insert_call(at, aten.permute.default, y, [0, 1, 3, 2]),
    "pad by shifting": lambda at, y: insert_call(at, aten.pad.default, y, [1, -1]),
    "add 1": lambda at, y: insert_call(at, aten.add.Tensor, y, 1),
    "add a wider 0": lambda at, y: insert_call(
        at, aten.add.Tensor, y, _constant(y, 0, (2, 2, 3, 4, 4))
    ),
    "add 0 of a wider type": lambda at, y: insert_call(
        at, aten.add.Tensor, y, _constant(y, 0, dtype=torch.float64)
    ),
    "divide 1": lambda at, y: insert_call(at, aten.div.Tensor, _constant(y, 1), y),
    "where unknown": lambda at, y: insert_call(
        at, aten.where.self, insert_call(at, aten.gt.Scalar, y, 0), y, y
    ),
    "pool of 1 by 2": lambda at, y: insert_call(at, aten.max_pool2d.default, y, [1, 1], [2, 2]),
    "resize by 1.2": lambda at, y: insert_call(
        at, aten.upsample_nearest2d.vec, y, None, [1.2, 1.2]
    ),
}


@pytest.mark.parametrize("name", NO_OPS)
def test_a_no_op_is_removed(name: str) -> None:
    program = _with_call(NO_OPS[name])
    clean = optimize(program, [RemoveNoOps()])
    assert str(clean) == str(_plain())
    assert clean.reports[0].rewrites == 1
    assert_close(clean.run(X), program.run(X), 0)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_stays(name: str) -> None:
    assert optimize(_with_call(OPERATIONS[name]), [RemoveNoOps()]).reports[0].rewrites == 0


def test_a_chain_of_no_ops_goes_at_once() -> None:
    def chain(at: Node, y: Node) -> Node:
        return NO_OPS["1 * y"](at, NO_OPS["clone"](at, NO_OPS["add 0"](at, y)))

    clean = optimize(_with_call(chain), [RemoveNoOps()])
    assert str(clean) == str(_plain())
    assert clean.reports[0].rewrites == 3
