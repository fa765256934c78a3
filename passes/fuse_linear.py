"""Products with a constant matrix, and what is added to them, become linear layers."""

from collections.abc import Callable
from typing import Any, TypeGuard

import torch
from torch.fx import Node

from ..compiler.ir.program import Program, node_spec
from ..compiler.ir.rewrite import change_weight, insert_call, replace_by, shape_of, weight_of
from ..compiler.pass_base import Pass

_ATEN = torch.ops.aten
_LINEAR = _ATEN.linear.default
_MATMUL = _ATEN.matmul.default
_ADD = _ATEN.add.Tensor
_PERMUTE = _ATEN.permute.default
_RESHAPE = _ATEN.reshape.default


class FuseLinear(Pass):
    """Give every product with a weight matrix the form in which weights are packed best.

    1. matmul(x, weight) -> linear(x, transposed weight).
    2. linear(x, weight) + constant vector -> linear(x, weight, bias).
    3. reshape(linear(x)) -> linear(reshape(x)) where the features stay the last axis, so that what
       follows the layer can fuse with it.

    Needs: canonical operators.
    Keeps: values within 1e-6 of the largest output (the order of summation is the library's).
    Skips: integer matrices, and results that something else also reads.
    """

    name = "fuse-linear"
    contract = "tolerance"

    def run(self, program: Program) -> int:
        weights = program.graph.find_nodes(op="get_attr")
        count = sum(_transpose_weight(program, weight) for weight in weights)
        for node in list(program.graph.nodes):
            rule = _RULES.get(node.target)
            value = None if rule is None else rule(program, node)
            if value is not None:
                replace_by(node, value)
                count += 1
        return count


def _transpose_weight(program: Program, node: Node) -> int:
    """Turn the products whose right operand is this matrix into linear layers."""
    weight = program.weight(node).detach()
    readers = [user for user in node.users if user.target is _MATMUL and user.args[0] is not node]
    if not readers or weight.dim() != 2 or not weight.is_floating_point():
        return 0
    transposed = change_weight(program, readers, node, weight.t().contiguous())
    for reader in readers:
        replace_by(reader, insert_call(reader, _LINEAR, reader.args[0], transposed))
    return len(readers)


def _from_transposed(program: Program, node: Node) -> Node | None:
    x, matrix = node.args
    assert isinstance(matrix, Node)
    if matrix.target is not _PERMUTE or weight_of(program, matrix.args[0]) is None:
        return None
    return insert_call(node, _LINEAR, x, matrix.args[0]) if matrix.args[1] == [1, 0] else None


def _with_bias(program: Program, node: Node) -> Node | None:
    layer, bias = node.args[:2]
    vector = weight_of(program, bias)
    if node.kwargs or vector is None or not isinstance(bias, Node) or not _is_inner_linear(layer):
        return None
    x, weight, *old_bias = layer.args
    features = shape_of(layer)[-1]
    if old_bias or vector.shape[-1:] != (features,) or vector.numel() != features:
        return None
    if node_spec(layer) != node_spec(node):
        return None
    flat = bias if vector.dim() == 1 else change_weight(program, [node], bias, vector.flatten())
    return insert_call(node, _LINEAR, x, weight, flat)


def _behind_reshape(program: Program, node: Node) -> Node | None:
    layer = node.args[0]
    if not _is_inner_linear(layer) or shape_of(node)[-1:] != shape_of(layer)[-1:]:
        return None
    x, *weights = layer.args
    assert isinstance(x, Node)
    rows = insert_call(node, _RESHAPE, x, [*shape_of(node)[:-1], shape_of(x)[-1]])
    return insert_call(node, _LINEAR, rows, *weights)


def _is_inner_linear(value: Any) -> TypeGuard[Node]:
    """Whether a value is the result of a layer with a matrix of weights that one node reads."""
    if not isinstance(value, Node) or value.target is not _LINEAR or len(value.users) > 1:
        return False
    weight = value.args[1]
    return isinstance(weight, Node) and len(shape_of(weight)) == 2


_RULES: dict[Any, Callable[[Program, Node], Node | None]] = {
    _MATMUL: _from_transposed,
    _ADD: _with_bias,
    _RESHAPE: _behind_reshape,
}
