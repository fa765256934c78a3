"""Who gives and who reads the values of an ONNX graph, for patterns of several nodes."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

from onnx import NodeProto, TensorProto

from .clean import read_names
from .read_tensor import read_tensor
from .registry import STANDARD

_MOST_COPIES = 10
_LEAST_INPUTS = {"Constant": 0, **dict.fromkeys(("Add", "Div", "Mul", "Pow", "Sub"), 2)}


class Wiring:
    """The nodes of a graph by the values that they give and read.

    Args:
        nodes: In any order.
        outputs: Of the graph.
        weights: Its initializers.
    """

    def __init__(
        self,
        nodes: Sequence[NodeProto],
        outputs: Iterable[str],
        weights: Iterable[TensorProto] = (),
    ) -> None:
        self._givers = {name: node for node in nodes for name in node.output if name}
        self._readers: dict[str, list[NodeProto]] = {}
        self._counts = Counter(outputs)
        self._weights = {tensor.name: tensor for tensor in weights}
        for node in nodes:
            for name in read_names(node):
                self._readers.setdefault(name, []).append(node)
                self._counts[name] += 1

    def giver(self, name: str, *op_types: str) -> NodeProto | None:
        """The node that gives a value, if it is of one of these standard operators."""
        node = self._givers.get(name)
        return node if node is not None and is_standard(node, *op_types) else None

    def only_reader(self, node: NodeProto, *op_types: str) -> NodeProto | None:
        """What reads the first result of a node, if nothing else does and it is one of these."""
        name = node.output[0]
        if self._counts[name] != 1 or name not in self._readers:
            return None
        (reader,) = self._readers[name]
        return reader if is_standard(reader, *op_types) else None

    def number(self, name: str) -> float | None:
        """A value that is one constant number; None for other values."""
        name = self._original(name)
        tensor = self._weights.get(name)
        node = self.giver(name, "Constant")
        if node is not None:
            tensors = [attribute.t for attribute in node.attribute if attribute.name == "value"]
            tensor = tensors[0] if tensors else None
        if tensor is None or math.prod(tensor.dims) != 1:
            return None
        if tensor.data_location == TensorProto.EXTERNAL or tensor.data_type == TensorProto.STRING:
            return None
        return float(read_tensor(tensor, None).reshape(-1)[0].real)

    def vector_size(self, name: str) -> int | None:
        """The length of a weight that is a vector; None for other values."""
        tensor = self._weights.get(self._original(name))
        return None if tensor is None or len(tensor.dims) != 1 else int(tensor.dims[0])

    def _original(self, name: str) -> str:
        """What a value is a copy of; exporters write copies of weights that are equal."""
        for _ in range(_MOST_COPIES):
            node = self.giver(name, "Identity")
            if node is None:
                break
            name = node.input[0]
        return name

    def times(self, node: NodeProto, number: float) -> str | None:
        """The other factor of a product with a number; None if the node is no such product."""
        if not is_standard(node, "Mul") or len(node.input) != 2:
            return None
        for name, factor in (node.input, node.input[::-1]):
            if self.is_about(factor, number):
                return str(name)
        return None

    def is_about(self, name: str, number: float) -> bool:
        """Whether a value is a constant number, but for rounding."""
        found = self.number(name)
        return found is not None and math.isclose(found, number, rel_tol=1e-4)


def is_standard(node: NodeProto, *op_types: str) -> bool:
    """Whether a node is of one of these standard operators, with as many inputs as it must have."""
    if node.domain not in (STANDARD, "ai.onnx") or node.op_type not in op_types:
        return False
    return bool(node.output) and len(node.input) >= _LEAST_INPUTS.get(node.op_type, 1)


def other_input(node: NodeProto, name: str) -> str | None:
    """The other operand of a node with two; None if both are the same."""
    others = [given for given in node.input if given != name]
    return str(others[0]) if len(node.input) == 2 and len(others) == 1 else None
