"""Sums of embeddings: a table stands for a linear layer of its own rows."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import shape_of
from .readers import Reader, is_own, replace_values

_ATEN = torch.ops.aten
_ADD, _EMBEDDING = _ATEN.add.Tensor, _ATEN.embedding.default


@dataclass(frozen=True, eq=False)
class Tables(Reader):
    """The sum of rows of tables and of constants, as a layer that reads the sum as it is.

    Whatever matrix it gets is multiplied into the tables and the constants, so it costs nothing.
    """

    terms: tuple[Node, ...]  # all tables and constants
    first: Node  # gather or addition

    @property
    def start(self) -> Node:
        """The first gather or addition."""
        return self.first

    def features(self, value: Tensor) -> Tensor:
        """The sum as [rows, width]."""
        return value.reshape(-1, value.shape[-1])

    rows = features
    channel_dim = -1
    has_offset = True

    @property
    def feature_count(self) -> int:
        """The width of the tables."""
        return shape_of(self.call)[-1]

    def matrix(self, program: Program) -> Tensor:
        """The identity: the tables hold what was multiplied into them."""
        return torch.eye(self.feature_count, dtype=torch.float64)

    def offset(self, program: Program) -> Tensor:
        """Zeros."""
        return torch.zeros(self.feature_count, dtype=torch.float64)

    def values(self, program: Program) -> dict[Node, Tensor]:
        """All tables and constants."""
        return {term: program.weight(term) for term in self.terms}

    def store(self, program: Program, matrix: Tensor, offset: Tensor | None) -> None:
        """Multiply all terms by a matrix [width, width]; one table gets the offset too."""
        for term in self.terms:
            values = program.weight(term).detach().double() @ matrix
            if term is self.weight and offset is not None:
                values = values + offset
            replace_values(program, term, values)


def tables_of(node: Node) -> Tables | None:
    """The whole sum that ends at `node`, None if it is none of embeddings and constants alone."""
    if any(_calls_of(user) for user in node.users):
        return None
    calls = _calls_of(node)
    gathers = [call for call in calls if call.target is _EMBEDDING]
    if not gathers:
        return None
    terms = {source: call for call in calls for source in _terms(call)}
    width = shape_of(node)[-1]
    if not all(is_own(t, call) and shape_of(t)[-1:] == (width,) for t, call in terms.items()):
        return None
    first = next(n for n in node.graph.nodes if n in calls)
    return Tables(node, node, _terms(gathers[0])[0], None, tuple(terms), first)


def _calls_of(node: Node) -> set[Node]:
    """The gathers and additions that make a sum, nothing if something else is added too."""
    if node.op != "call_function" or node.target not in (_ADD, _EMBEDDING) or node.kwargs:
        return set()
    if node.target is _EMBEDDING:
        return {node}
    found = {node}
    for term in node.args:
        if not isinstance(term, Node):
            return set()
        if term.op != "get_attr":
            inner = _calls_of(term) if len(term.users) == 1 else set()
            if not inner:
                return set()
            found |= inner
    return found


def _terms(call: Node) -> list[Node]:
    if call.target is _EMBEDDING:
        return [call.args[0]] if isinstance(call.args[0], Node) else []
    return [term for term in call.all_input_nodes if term.op == "get_attr"]
