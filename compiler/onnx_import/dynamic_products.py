"""Products of integers that are quantized when a model runs, as single nodes.

onnxruntime's dynamic quantizer writes each product as DynamicQuantizeLinear, MatMulInteger, Cast
and two Mul. As one node it can become a layer that multiplies integers on the device.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from onnx import NodeProto, TensorProto, helper

from .clean import read_names
from .registry import MICROSOFT, STANDARD

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
    graph = _Wiring(nodes, outputs)
    replaced: dict[str, NodeProto] = {}
    for node in nodes:
        last, operands = node, None
        if _is(node, MICROSOFT, "MatMulIntegerToFloat"):
            operands = graph.converted(node)
        elif _is(node, STANDARD, "MatMulInteger"):
            last, operands = graph.product(node)
        if operands is not None:
            joined = helper.make_node(
                JOINED, operands, list(last.output), name=node.name, domain=MICROSOFT
            )
            replaced[last.output[0]] = joined
    return [replaced.get(node.output[0], node) if node.output else node for node in nodes]


class _Wiring:
    """Who gives and who reads the values of a graph."""

    def __init__(self, nodes: Sequence[NodeProto], outputs: Iterable[str]) -> None:
        self._givers = {name: node for node in nodes for name in node.output if name}
        self._readers: dict[str, list[NodeProto]] = {}
        self._counts = Counter(outputs)
        for node in nodes:
            for name in read_names(node):
                self._readers.setdefault(name, []).append(node)
                self._counts[name] += 1

    def converted(self, node: NodeProto) -> list[str] | None:
        """The operands in place of integers, weight, two scales, two zero points and a bias."""
        names = [*node.input, *[""] * (7 - len(node.input))]
        source = self._quantized(names[0], names[4])
        if source is None or source.output[1] != names[2]:
            return None
        return [source.input[0], names[1], names[3], names[5], names[6]]

    def product(self, node: NodeProto) -> tuple[NodeProto, list[str] | None]:
        """The last node that belongs to a product of integers, and the operands of all of them."""
        names = [*node.input, *[""] * (4 - len(node.input))]
        source = self._quantized(names[0], names[2])
        cast = self._only_reader(node)
        last = None if cast is None else self._only_reader(cast)
        if source is None or cast is None or last is None or not _widens(cast):
            return node, None
        if not _is(last, STANDARD, "Mul"):
            return node, None
        (other,) = [name for name in last.input if name != cast.output[0]] or [""]
        scales = self._givers.get(other)
        if scales is None or not _is(scales, STANDARD, "Mul"):
            return node, None
        rest = [name for name in scales.input if name != source.output[1]]
        if len(rest) != 1:
            return node, None
        return last, [source.input[0], names[1], rest[0], names[3]]

    def _quantized(self, integers: str, zero_point: str) -> NodeProto | None:
        """The node that quantizes integers when the model runs, if one does."""
        node = self._givers.get(integers)
        if node is None or not _is(node, STANDARD, "DynamicQuantizeLinear"):
            return None
        return node if list(node.output[::2]) == [integers, zero_point] else None

    def _only_reader(self, node: NodeProto) -> NodeProto | None:
        """What reads the result of a node, if nothing else does."""
        name = node.output[0]
        return self._readers[name][0] if self._counts[name] == 1 and name in self._readers else None


def _is(node: NodeProto, domain: str, op_type: str) -> bool:
    own = STANDARD if node.domain == "ai.onnx" else node.domain
    return own == domain and node.op_type == op_type


def _widens(node: NodeProto) -> bool:
    kinds = [attribute.i for attribute in node.attribute if attribute.name == "to"]
    return _is(node, STANDARD, "Cast") and kinds == [TensorProto.FLOAT]
