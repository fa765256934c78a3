"""Functions that old ONNX files spell out, as single nodes: GELU, layer norm, RMS norm.

Before operator sets 20, 17 and 23 ONNX had no operators for them. As single nodes they become the
PyTorch functions that passes and kernels know.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from onnx import NodeProto, TensorProto, helper

from .registry import MICROSOFT
from .wiring import Wiring, is_standard, other_input

_Match = tuple[str, NodeProto]  # the value that is replaced, and the node that gives it


def join_functions(
    nodes: Sequence[NodeProto], outputs: Iterable[str], weights: Iterable[TensorProto] = ()
) -> list[NodeProto]:
    """The nodes of a graph, the last of each function that is spelled out replaced by one node.

    What only the replaced nodes read is left for the clean-up.

    Args:
        nodes: In any order.
        outputs: Of the graph.
        weights: Its initializers.
    """
    if not any(is_standard(node, *_RULES) for node in nodes):
        return list(nodes)
    graph = Wiring(nodes, outputs, weights)
    found = [_RULES[node.op_type](graph, node) for node in nodes if is_standard(node, *_RULES)]
    replaced = dict(match for match in found if match is not None)
    return [replaced.get(node.output[0], node) if node.output else node for node in nodes]


def _gelu(graph: Wiring, root: NodeProto) -> _Match | None:
    """x / 2 (1 + erf(x / sqrt(2))), or with a tanh, its factors in any order."""
    is_exact = root.op_type == "Erf"
    x = (_argument_of_erf if is_exact else _argument_of_tanh)(graph, root.input[0])
    raised = graph.only_reader(root, "Add")
    if x is None or raised is None or not _adds(graph, raised, root.output[0], 1):
        return None
    op_type = "Gelu" if is_exact else "FastGelu"
    first = graph.only_reader(raised, "Mul")
    factor = None if first is None else other_input(first, raised.output[0])
    if first is None or factor is None:
        return None
    half = graph.giver(factor, "Mul")
    if half is not None and graph.times(half, 0.5) == x:
        return _joined(first, op_type, [x], root)
    last = graph.only_reader(first, "Mul")
    if last is None:
        return None
    is_gelu = (factor == x and graph.times(last, 0.5) == first.output[0]) or (
        graph.is_about(factor, 0.5) and other_input(last, first.output[0]) == x
    )
    return _joined(last, op_type, [x], root) if is_gelu else None


def _argument_of_erf(graph: Wiring, scaled: str) -> str | None:
    """x of x / sqrt(2)."""
    quotient, product = graph.giver(scaled, "Div"), graph.giver(scaled, "Mul")
    if quotient is not None and graph.is_about(quotient.input[1], math.sqrt(2)):
        return str(quotient.input[0])
    return None if product is None else graph.times(product, math.sqrt(0.5))


def _argument_of_tanh(graph: Wiring, scaled: str) -> str | None:
    """x of sqrt(2 / pi) (x + 0.044715 x^3)."""
    product = graph.giver(scaled, "Mul")
    inner = None if product is None else graph.times(product, math.sqrt(2 / math.pi))
    total = graph.giver(inner or "", "Add")
    for x, other in () if total is None else (total.input[:2], total.input[1::-1]):
        part = graph.giver(other, "Mul")
        cube = None if part is None else graph.times(part, 0.044715)
        if cube is not None and _is_cube(graph, cube, x):
            return str(x)
    return None


def _is_cube(graph: Wiring, name: str, x: str) -> bool:
    power, product = graph.giver(name, "Pow"), graph.giver(name, "Mul")
    if power is not None:
        return power.input[0] == x and graph.is_about(power.input[1], 3)
    return product is not None and _squared(graph, other_input(product, x) or "") == x


def _adds(graph: Wiring, node: NodeProto, name: str, number: float) -> bool:
    other = other_input(node, name)
    return other is not None and graph.is_about(other, number)


def _layer_norm(graph: Wiring, root: NodeProto) -> _Match | None:
    """(x - mean) / sqrt(variance + epsilon) weight + bias over the last axis."""
    found, normal = _mean_square(graph, root), graph.only_reader(root, "Div")
    if found is None or normal is None or normal.input[1] != root.output[0]:
        return None
    centered, epsilon = found
    x = _centered_source(graph, centered)
    if x is None or _centered_source(graph, normal.input[0]) != x:
        return None
    scaled = graph.only_reader(normal, "Mul")
    moved = None if scaled is None else graph.only_reader(scaled, "Add")
    if scaled is None or moved is None:
        return None
    weight, bias = other_input(scaled, normal.output[0]), other_input(moved, scaled.output[0])
    sizes = {None if name is None else graph.vector_size(name) for name in (weight, bias)}
    if len(sizes) != 1 or None in sizes or weight is None or bias is None:
        return None
    return _joined(moved, "LayerNormalization", [x, weight, bias], root, epsilon=epsilon)


def _centered_source(graph: Wiring, name: str) -> str | None:
    """x of x - mean(x)."""
    difference = graph.giver(name, "Sub")
    if difference is None or _mean_of(graph, difference.input[1]) != difference.input[0]:
        return None
    return str(difference.input[0])


def _mean_of(graph: Wiring, name: str) -> str | None:
    """x of a mean over its last axis, which stays."""
    mean = graph.giver(name, "ReduceMean")
    if mean is None:
        return None
    given = {attribute.name: attribute for attribute in mean.attribute}
    keeps = given["keepdims"].i if "keepdims" in given else 1
    axes = list(given["axes"].ints) if "axes" in given else []
    if len(mean.input) > 1:
        axes = [graph.number(mean.input[1])]
    return str(mean.input[0]) if keeps and axes == [-1] else None


def _rms_norm(graph: Wiring, root: NodeProto) -> _Match | None:
    """x / sqrt(mean(x^2) + epsilon) weight over the last axis."""
    found = _mean_square(graph, root)
    if found is None:
        return None
    x, epsilon = found
    inverse = graph.only_reader(root, "Reciprocal", "Div")
    if inverse is None:
        return None
    normal: NodeProto | None = inverse
    if inverse.op_type == "Reciprocal" or graph.is_about(inverse.input[0], 1):
        normal = graph.only_reader(inverse, "Mul")
        is_normal = normal is not None and other_input(normal, inverse.output[0]) == x
    else:
        is_normal = list(inverse.input) == [x, root.output[0]]
    scaled = None if normal is None else graph.only_reader(normal, "Mul")
    if not is_normal or normal is None or scaled is None:
        return None
    weight = other_input(scaled, normal.output[0])
    if weight is None or graph.vector_size(weight) is None:
        return None
    return _joined(scaled, "SimplifiedLayerNormalization", [x, weight], root, epsilon=epsilon)


def _mean_square(graph: Wiring, root: NodeProto) -> tuple[str, float] | None:
    """x and epsilon of sqrt(mean(x^2) + epsilon), the mean over the last axis."""
    raised = graph.giver(root.input[0], "Add")
    for mean, other in () if raised is None else (raised.input[:2], raised.input[1::-1]):
        x = _squared(graph, _mean_of(graph, mean) or "")
        epsilon = graph.number(other)
        if x is not None and epsilon is not None:
            return x, epsilon
    return None


def _squared(graph: Wiring, name: str) -> str | None:
    """x of x^2."""
    power, product = graph.giver(name, "Pow"), graph.giver(name, "Mul")
    if power is not None:
        return str(power.input[0]) if graph.is_about(power.input[1], 2) else None
    if product is None or product.input[0] != product.input[1]:
        return None
    return str(product.input[0])


def _joined(
    last: NodeProto, op_type: str, inputs: list[str], named: NodeProto, **attributes: Any
) -> _Match:
    name = named.name or last.name
    output = last.output[0]
    return output, helper.make_node(
        op_type, inputs, [output], name=name, domain=MICROSOFT, **attributes
    )


_RULES: dict[str, Callable[[Wiring, NodeProto], _Match | None]] = {
    "Erf": _gelu,
    "Tanh": _gelu,
    "Sqrt": lambda graph, root: _layer_norm(graph, root) or _rms_norm(graph, root),
}
