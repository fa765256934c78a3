"""Which weights are 0 at dropped units in the program that a pruned one is compared with."""

import torch
from torch.fx import Node

from ..ir.op_kinds import Kind, kind_of
from ..ir.program import Program
from ..ir.rewrite import arguments_of

_ATEN = torch.ops.aten

# A dropped unit's weights may be 0 where these read them: no division, no root, no logarithm.
_ANY_OPERAND = frozenset(
    {
        *(_ATEN.mul.Tensor, _ATEN.add.Tensor, _ATEN.sub.Tensor, _ATEN.matmul.default),
        *(_ATEN.lstm.input, _ATEN.gru.input, _ATEN.rnn_tanh.input, _ATEN.rnn_relu.input),
        *(_ATEN.mm.default, _ATEN.bmm.default, _ATEN.addmm.default, _ATEN.baddbmm.default),
    }
)
_MOVES = (Kind.VIEW, Kind.MOVE)


def is_zeroable(program: Program, weight: Node) -> bool:
    """Whether every reader of a floating weight may find zeros in it."""
    if not program.weight(weight).is_floating_point():
        return False
    same = program.graph.find_nodes(op="get_attr", target=weight.target)
    return all(_may_read_zeros(user, node) for node in same for user in node.users)


def _may_read_zeros(reader: Node, value: Node) -> bool:
    if reader.target in _ANY_OPERAND:
        return True
    if reader.op != "call_function":
        return False
    if kind_of(reader) in _MOVES or reader.target in (_ATEN.expand.default, _ATEN.cat.default):
        return all(_may_read_zeros(user, reader) for user in reader.users)
    if not isinstance(reader.target, torch._ops.OpOverload):
        return False
    arguments = arguments_of(reader)
    return value in (arguments.get("weight"), arguments.get("bias"))
