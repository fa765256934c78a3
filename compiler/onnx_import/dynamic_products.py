"""Products of integers that are quantized when a model runs, as single nodes.

onnxruntime's dynamic quantizer writes each product as DynamicQuantizeLinear, MatMulInteger, Cast
and two Mul. As one node it can become a layer that multiplies integers on the device.
"""

from collections.abc import Iterable, Sequence

from onnx import NodeProto, TensorProto, helper

from .registry import MICROSOFT
from .wiring import Wiring, is_standard, other_input

JOINED = "DynamicQuantizeMatMul"


def join_dynamic_products(nodes: Sequence[NodeProto], outputs: Iterable[str]) -> list[NodeProto]:
    """The nodes of a graph, with those of each product joined to one; others stay as they are.

    What only the joined nodes read is left for the clean-up.

    Args:
        nodes: In any order.
        outputs: Of the graph.
    """
    kinds = {"MatMulInteger", "MatMulIntegerToFloat"}
    if not any(node.op_type in kinds for node in nodes):
        return list(nodes)
    graph = Wiring(nodes, outputs)
    replaced: dict[str, NodeProto] = {}
    for node in nodes:
        last, operands = node, None
        if (node.domain, node.op_type) == (MICROSOFT, "MatMulIntegerToFloat"):
            operands = _converted(graph, node)
        elif is_standard(node, "MatMulInteger"):
            last, operands = _product(graph, node)
        if operands is not None:
            joined = helper.make_node(
                JOINED, operands, list(last.output), name=node.name, domain=MICROSOFT
            )
            replaced[last.output[0]] = joined
    return [replaced.get(node.output[0], node) if node.output else node for node in nodes]


def _converted(graph: Wiring, node: NodeProto) -> list[str] | None:
    """The operands in place of integers, weight, two scales, two zero points and a bias."""
    names = [*node.input, *[""] * (7 - len(node.input))]
    source = _quantized(graph, names[0], names[4])
    if source is None or source.output[1] != names[2]:
        return None
    return [source.input[0], names[1], names[3], names[5], names[6]]


def _product(graph: Wiring, node: NodeProto) -> tuple[NodeProto, list[str] | None]:
    """The last node that belongs to a product of integers, and the operands of all of them."""
    names = [*node.input, *[""] * (4 - len(node.input))]
    source = _quantized(graph, names[0], names[2])
    cast = graph.only_reader(node, "Cast")
    last = None if cast is None else graph.only_reader(cast, "Mul")
    if source is None or cast is None or last is None or not _widens(cast):
        return node, None
    scales = graph.giver(other_input(last, cast.output[0]) or "", "Mul")
    rest = None if scales is None else other_input(scales, source.output[1])
    if rest is None:
        return node, None
    return last, [source.input[0], names[1], rest, names[3]]


def _quantized(graph: Wiring, integers: str, zero_point: str) -> NodeProto | None:
    """The node that quantizes integers when the model runs, if one does."""
    node = graph.giver(integers, "DynamicQuantizeLinear")
    return node if node and list(node.output[::2]) == [integers, zero_point] else None


def _widens(node: NodeProto) -> bool:
    return [a.i for a in node.attribute if a.name == "to"] == [TensorProto.FLOAT]
