"""The names that nodes of a graph, of its subgraphs and of functions see."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..errors import CompileError
from .call import Value


@dataclass
class Scope:
    """Values by name, and what else the nodes of one graph share.

    Args:
        opsets: Version of each operator set by domain.
        prefix: In front of the names of the nodes, to tell calls and iterations from each other.
        attributes: Those that a function was called with.
        outer: The names around a subgraph.
        depth: How deep graphs and functions are nested here.
        values: None is an optional input that a function was called without.
    """

    opsets: Mapping[str, int]
    prefix: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    outer: "Scope | None" = None
    depth: int = 0
    values: dict[str, Value | None] = field(default_factory=dict)

    def inner(self, prefix: str) -> "Scope":
        """The scope of a subgraph."""
        return replace(self, prefix=prefix, outer=self, depth=self.depth + 1, values={})

    def called(
        self, prefix: str, opsets: Mapping[str, int], attributes: Mapping[str, Any]
    ) -> "Scope":
        """The scope of the body of a function, which sees nothing around it."""
        return Scope(opsets, prefix, attributes, None, self.depth + 1)

    def read(self, name: str, at: str) -> Value | None:
        """The value of this name; None for an optional one that is left out.

        Raises:
            CompileError: Nothing before defines it.
        """
        if not name:
            return None
        scope: Scope | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        raise CompileError(
            "the ONNX graph reads a value that nothing in it gives",
            at=at,
            got=name,
            fix="a weight or a node is missing from the file: export the model again",
        )

    def define(self, name: str, value: Value | None, at: str) -> None:
        """Give a value a name of this scope.

        Raises:
            CompileError: The name is taken.
        """
        if name in self.values:
            raise CompileError(
                "a value of the ONNX graph is defined twice",
                at=at,
                got=name,
                fix="export the model again; onnx.checker.check_model says more",
            )
        self.values[name] = value
