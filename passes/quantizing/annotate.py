"""Which values of a program become integers, and who reads them so."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch.fx import Node

from ...compiler.ir.op_kinds import Kind, kind_of
from ...compiler.ir.program import Program, node_spec
from ...compiler.ir.rewrite import arguments_of, shape_of, weight_of
from ..integer.attention import ATTENTIONS
from ..integer.pointwise import POINTWISE
from ..integer.products import LAYERS, PRODUCTS
from ..integer.reductions import REDUCTIONS
from ..integer.transposed import TRANSPOSED

_ATEN = torch.ops.aten
Scope = Literal["auto", "all", "products"]
_WITH_WEIGHTS = {*LAYERS, *TRANSPOSED}
_INTEGER_FORMS = {*PRODUCTS, *TRANSPOSED, *ATTENTIONS, *REDUCTIONS, *POINTWISE}
_NORMS = {_ATEN.layer_norm.default, _ATEN.rms_norm.default}
_OPERANDS: dict[Any, int] = {
    _ATEN.matmul.default: 2,
    **dict.fromkeys(ATTENTIONS, 3),
}  # that must be integers
# Their results hold elements of their operands, and nothing else but zeros.
_JOINS = {_ATEN.cat.default, _ATEN.maximum.default, _ATEN.minimum.default}
_KEEPS_RANGE = {
    _ATEN.cat.default,
    _ATEN.amax.default,
    _ATEN.amin.default,
    _ATEN.expand.default,
    _ATEN.repeat.default,
    _ATEN.roll.default,
    _ATEN.max_pool1d.default,
    _ATEN.max_pool2d.default,
    _ATEN.max_pool3d.default,
    _ATEN.upsample_nearest1d.vec,
    _ATEN.upsample_nearest2d.vec,
    _ATEN.upsample_nearest3d.vec,
}
_PADS = {_ATEN.pad.default, _ATEN.constant_pad_nd.default}
_STEPS = {
    _ATEN.relu.default,
    _ATEN.clamp.default,
    _ATEN.mul.Tensor,
    _ATEN.div.Tensor,
}


@dataclass(frozen=True)
class Rounding:
    """A value that becomes integers.

    Args:
        value: The real value.
        readers: Who reads the integers; others read the real value.
        is_real: Whether it is computed in floating point, or by an integer operator.
        same_as: A value whose steps it must have; None where it has its own.
    """

    value: Node
    readers: tuple[Node, ...]
    is_real: bool
    same_as: Node | None


@dataclass(frozen=True)
class Annotation:
    """What becomes integers: values, and the weights of layers."""

    roundings: list[Rounding]
    layers: list[Node]


def annotate(
    program: Program, scope: Scope, kept: Collection[Node], *, outputs: bool = False
) -> Annotation:
    """What to quantize so that integer operators find integers where they need them.

    Args:
        program: With canonical operators and without batch norms after layers.
        scope: "all": every operator that has an integer form. "products": convolutions, linear
            layers and attention; what is between them stays real. "auto": products where there are
            layer norms, since the sums that these normalize have a few channels of hundreds of
            times the size of others, else all.
        kept: Nodes that stay real.
        outputs: Whether the results of the program become integers.
    """
    if scope == "auto":
        has_norms = any(node.target in _NORMS for node in program.graph.nodes)
        scope = "products" if has_norms else "all"
    annotator = _Annotator(program, scope == "products", frozenset(kept), outputs)
    annotator.run()
    return annotator.annotation()


@dataclass
class _Annotator:
    """Goes from the results back: a value is rounded if an integer operator reads it."""

    program: Program
    only_products: bool
    kept: frozenset[Node]
    rounds_outputs: bool
    computed: set[Node] = field(default_factory=set)  # real values that depend on inputs
    argument: dict[Node, Node] = field(default_factory=dict)  # function of elements -> of what
    rounded: set[Node] = field(default_factory=set)
    fused: set[Node] = field(default_factory=set)  # an activation after them is rounded
    inside: set[Node] = field(default_factory=set)  # of functions that become tables

    def run(self) -> None:
        nodes = list(self.program.graph.nodes)
        depends: set[Node] = set()
        for node in nodes:
            if node.op == "placeholder" or not depends.isdisjoint(node.all_input_nodes):
                depends.add(node)
                if _is_real(node):
                    self.computed.add(node)
                    self.argument[node] = self._argument(node)
        for node in reversed(nodes):
            if node in self.computed:
                self._decide(node)

    def annotation(self) -> Annotation:
        nodes = self.program.graph.nodes
        return Annotation(
            [self._rounding(node) for node in nodes if node in self.rounded],
            [n for n in nodes if n.target in _WITH_WEIGHTS and self._reads(n, n.args[0])],
        )

    def _decide(self, node: Node) -> None:
        readers = list(node.users)
        if not any(self._reads(reader, node) for reader in readers):
            return
        if self._takes_part(node):
            self.fused.add(node)
        elif self.argument[node] is not node and all(
            self.argument.get(each) is self.argument[node] and self._is_integer(each)
            for each in readers
        ):
            self.inside.add(node)
        else:
            self.rounded.add(node)

    def _takes_part(self, node: Node) -> bool:
        """Whether the only reader is an activation that the operator behind `node` rounds with."""
        reader = next(iter(node.users))
        if len(node.users) > 1 or not _is_step(reader) or reader in self.kept | self.inside:
            return False
        return self._is_integer(reader) and _root(node).target in _INTEGER_FORMS

    def _rounding(self, node: Node) -> Rounding:
        is_real = not any(self._reads(node, source) for source in node.all_input_nodes)
        is_real |= self.only_products and len(node.users) > 1  # floats are exact, and as near
        readers = [r for r in node.users if not is_real or self._reads(r, node)]
        return Rounding(node, tuple(readers), is_real, self._same_as(node))

    def _same_as(self, node: Node) -> Node | None:
        """Its operand where it only moves elements; the result of the only one that joins it."""
        joined = next(iter(node.users))
        if self._joins(joined) and len(node.users) == 1 and joined in self.rounded:
            return joined
        if self._joins(node) or not keeps_range(node):
            return None
        source = node.args[0]
        assert isinstance(source, Node)
        return source if source in self.rounded else None

    def _joins(self, node: Node) -> bool:
        """Whether a node's elements are those of several computed values."""
        parts = node.all_input_nodes
        is_join = node.target in _JOINS and self.argument.get(node) is node
        return is_join and (node.target is _ATEN.cat.default or self.computed.issuperset(parts))

    def _is_integer(self, node: Node) -> bool:
        return node in self.rounded or node in self.inside or node in self.fused

    def _reads(self, reader: Node, value: Any) -> bool:
        """Whether `reader` becomes an integer operator, and `value` one of its operands."""
        if reader.op == "output":
            return self.rounds_outputs and value in self.computed
        if reader in self.kept or value not in self.computed or reader.op != "call_function":
            return False
        if reader.target in _WITH_WEIGHTS:
            return reader.args[0] is value and _has_weight(self.program, reader)
        if not self._is_integer(reader):
            return False
        if keeps_range(reader) or self._joins(reader):
            return True
        if self.only_products and reader.target not in ATTENTIONS:
            return _is_step(reader) and _root(reader).target in _WITH_WEIGHTS
        if self.argument[reader] is not reader:
            return True
        if reader.target in POINTWISE:
            return self._has_operands(reader)
        operands = reader.args[: _OPERANDS.get(reader.target, 1)]
        is_read = value in operands and all(each in self.computed for each in operands)
        return reader.target in _INTEGER_FORMS and is_read

    def _has_operands(self, reader: Node) -> bool:
        """Whether a sum, product or quotient has two computed values, or one and a constant."""
        left, right = (each in self.computed for each in reader.args[:2])
        if reader.target is _ATEN.div.Tensor:
            return left and self._is_constant(reader.args[1])
        others = [each for each in reader.args[:2] if each not in self.computed]
        return (left or right) and all(map(self._is_constant, others))

    def _is_constant(self, value: Any) -> bool:
        return weight_of(self.program, value) is not None

    def _argument(self, node: Node) -> Node:
        """What a value is a function of, element by element; itself if it is none."""
        if node in self.kept or kind_of(node) is not Kind.ELEMENTWISE:
            return node
        sources = {self.argument.get(source) for source in node.all_input_nodes}
        sources -= {None} if self._has_numbers_only(node) else set()
        source = sources.pop() if len(sources) == 1 else None
        return node if source is None or shape_of(source) != shape_of(node) else source

    def _has_numbers_only(self, node: Node) -> bool:
        """Whether all operands that are no computed values are constants of one element."""
        others = [source for source in node.all_input_nodes if source not in self.computed]
        values = [weight_of(self.program, source) for source in others]
        return all(value is not None and value.numel() == 1 for value in values)


def _is_real(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.dtype == torch.float32 and node.op != "output"


def _has_weight(program: Program, layer: Node) -> bool:
    """Whether weight and bias are constants, and images have a batch axis."""
    arguments = arguments_of(layer)
    weight = weight_of(program, arguments["weight"])
    if weight is None or weight.dtype != torch.float32:
        return False
    if arguments["bias"] is not None and weight_of(program, arguments["bias"]) is None:
        return False
    return weight.dim() == 2 or weight.dim() == len(node_spec(layer).shape)


def _is_step(node: Node) -> bool:
    """Whether a node is an activation, or a factor, that rounding can take part in."""
    return node.target in _STEPS and len(node.all_input_nodes) == 1


def _root(node: Node) -> Node:
    """What comes before activations."""
    while _is_step(node):
        node = node.all_input_nodes[0]
    return node


def keeps_range(node: Node) -> bool:
    """Whether a result holds nothing but elements of its operands, and zeros."""
    if node.op != "call_function":
        return False
    if node.target in _PADS:
        arguments = arguments_of(node)
        return arguments.get("mode", "constant") != "constant" or not arguments["value"]
    return node.target in _KEEPS_RANGE or kind_of(node) in (Kind.VIEW, Kind.MOVE)
