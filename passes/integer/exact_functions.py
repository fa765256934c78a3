"""Real functions between integer operators, replaced by those that every target computes alike."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import Node

from ...compiler.exact import ops as ops
from ...compiler.ir.program import Program, node_spec
from ...compiler.ir.rewrite import arguments_of, insert_call, replace_by, shape_of
from .values import add_constant

_ATEN = torch.ops.aten
_PENJING = torch.ops.penjing
_SUMS = {_ATEN.add.Tensor, _ATEN.sub.Tensor, _ATEN.rsub.Scalar}


def make_exact(program: Program) -> int:
    """Let real functions of a program with integer operators have one definition; how many do.

    A last bit may turn over an integer, and that all which follow. The functions of PyTorch, and
    sums in the order that suits a vector unit, differ in it from target to target.
    """
    if not any(_is_integer(node) for node in program.graph.nodes):
        return 0
    count = 0
    for node in list(program.graph.nodes):
        rule = _RULES.get(node.target)
        if rule is None or node_spec(node).torch_dtype != torch.float32:
            continue
        value = rule(program, node)
        if value is not None:
            replace_by(node, value)
            count += 1
    return count


def _is_integer(node: Node) -> bool:
    """Whether a node computes with integers in known steps."""
    name = node.target.name() if isinstance(node.target, OpOverload) else ""
    return name.startswith("penjing::") and "int8" in name


def _layer_norm(program: Program, node: Node) -> Node:
    given = arguments_of(node)
    operands = given["input"], given["weight"], given["bias"]
    axes = len(given["normalized_shape"])
    return insert_call(node, _PENJING.exact_layer_norm.default, *operands, axes, given["eps"])


def _rms_norm(program: Program, node: Node) -> Node:
    given = arguments_of(node)
    eps = torch.finfo(torch.float32).eps if given["eps"] is None else given["eps"]
    axes = len(given["normalized_shape"])
    operands = given["input"], given["weight"]
    return insert_call(node, _PENJING.exact_rms_norm.default, *operands, axes, eps)


def _group_norm(program: Program, node: Node) -> Node:
    """Rows of a whole group are normalized, then the weight and bias of each channel follow."""
    given = arguments_of(node)
    shape = shape_of(node)
    rows = insert_call(
        node, _ATEN.reshape.default, given["input"], [shape[0], given["num_groups"], -1]
    )
    normal = insert_call(node, _PENJING.exact_layer_norm.default, rows, None, None, 1, given["eps"])
    value = insert_call(node, _ATEN.reshape.default, normal, list(shape))
    for name, join in (("weight", _PENJING.exact_product.default), ("bias", _ATEN.add.Tensor)):
        if given[name] is not None:
            along = [-1, *[1] * (len(shape) - 2)]
            channels = insert_call(node, _ATEN.reshape.default, given[name], along)
            value = insert_call(node, join, value, channels)
    return value


def _gelu(program: Program, node: Node) -> Node:
    by_tanh = arguments_of(node)["approximate"] == "tanh"
    function = _PENJING.exact_gelu_tanh if by_tanh else _PENJING.exact_gelu
    return insert_call(node, function.default, node.args[0])


def _function(target: OpOverload) -> Callable[[Program, Node], Node]:
    return lambda program, node: insert_call(node, target, node.args[0])


def _softmax(program: Program, node: Node) -> Node | None:
    """One that attention of real numbers multiplies stays, to be part of that."""
    if any(user.target is _ATEN.matmul.default for user in node.users):
        return None
    given = arguments_of(node)
    rank = len(shape_of(node))
    order = [axis for axis in range(rank) if axis != given["dim"] % rank] + [given["dim"] % rank]
    rows = _permuted(node, given["self"], order)
    value = insert_call(node, _PENJING.exact_softmax.default, rows)
    return _permuted(node, value, [order.index(axis) for axis in range(rank)])


def _mean(program: Program, node: Node) -> Node:
    """The reduced axes are brought to the end and made one."""
    x = arguments_of(node)["self"]
    shape, found = shape_of(x), shape_of(node)
    if node.target is _ATEN.mean.dim:
        named = arguments_of(node)["dim"] or range(len(shape))
        axes = sorted({axis % len(shape) for axis in named})
    else:
        axes = list(range(2, len(shape)))
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    rows = _permuted(node, x, [*kept, *axes])
    rows = insert_call(node, _ATEN.reshape.default, rows, [*(shape[axis] for axis in kept), -1])
    means = insert_call(node, _PENJING.exact_mean.default, rows)
    return insert_call(node, _ATEN.reshape.default, means, list(found))


def _pool(program: Program, node: Node) -> Node | None:
    """A pool over everything is a mean."""
    return _mean(program, node) if set(shape_of(node)[2:]) == {1} else None


def _product(program: Program, node: Node) -> Node | None:
    """A product that is added to something, where targets might round only once.

    Scores of attention with real numbers stay, to be part of that.
    """
    if not any(user.target in _SUMS for user in node.users):
        return None
    if any(factor.target is _ATEN.matmul.default for factor in node.all_input_nodes):
        return None
    factors = [_operand(program, node, factor) for factor in node.args]
    return insert_call(node, _PENJING.exact_product.default, *factors)


def _sum(program: Program, node: Node) -> Node | None:
    """x + alpha y with a product of its own."""
    given = arguments_of(node)
    if given["alpha"] == 1:
        return None
    factors = [_operand(program, node, given[name]) for name in ("other", "alpha")]
    product = insert_call(node, _PENJING.exact_product.default, *factors)
    return insert_call(node, node.target, given["self"], product)


def _operand(program: Program, node: Node, value: Any) -> Node:
    """A float32 node for an operand that may be a number."""
    if isinstance(value, Node):
        return value
    return add_constant(program, node, "factor", torch.tensor([value], dtype=torch.float32))


def _permuted(node: Node, x: Node, order: Sequence[int]) -> Node:
    if list(order) == sorted(order):
        return x
    return insert_call(node, _ATEN.permute.default, x, list(order))


_RULES: dict[Any, Callable[[Program, Node], Node | None]] = {
    _ATEN.layer_norm.default: _layer_norm,
    _ATEN.rms_norm.default: _rms_norm,
    _ATEN.group_norm.default: _group_norm,
    _ATEN.gelu.default: _gelu,
    _ATEN.silu.default: _function(_PENJING.exact_silu.default),
    _ATEN.sigmoid.default: _function(_PENJING.exact_sigmoid.default),
    _ATEN.tanh.default: _function(_PENJING.exact_tanh.default),
    _ATEN.softmax.int: _softmax,
    _ATEN.mean.dim: _mean,
    _ATEN.adaptive_avg_pool1d.default: _pool,
    _ATEN.adaptive_avg_pool2d.default: _pool,
    _ATEN.adaptive_avg_pool3d.default: _pool,
    _ATEN.mul.Tensor: _product,
    _ATEN.add.Tensor: _sum,
    _ATEN.sub.Tensor: _sum,
}
