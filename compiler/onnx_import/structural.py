"""Operators that steer the walk through a graph and calculate nothing themselves."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from .call import Call, Value
from .registry import STANDARD
from .scope import Scope

if TYPE_CHECKING:
    from .resolve import Resolver

Handler = Callable[["Resolver", Call, Scope], Sequence[Value | None]]
_HANDLERS: dict[str, Handler] = {}


def structural_op(*names: str) -> Callable[[Handler], Handler]:
    """Register the function that handles standard operators while a graph is walked.

    It gets the resolver, the node and the scope that the node is in, and returns the values of the
    node's results: others that exist, or new ones of the resolver.
    """

    def register(function: Handler) -> Handler:
        for name in names:
            assert name not in _HANDLERS, f"{name} is registered twice"
            _HANDLERS[name] = function
        return function

    return register


def structural(call: Call) -> Handler | None:
    """The function for a node; None where its operator is an ordinary one."""
    return _HANDLERS.get(call.op_type) if call.domain == STANDARD else None


def structural_ops() -> list[str]:
    """The names of these operators, in order."""
    return sorted(_HANDLERS)
