"""One form for what ATen can say in many ways, applied while a traced graph is copied.

A rule takes the emitter and the operator's arguments (nodes of the new graph), and returns the
node that stands for the result, or a list of nodes for an operator with several results.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from torch._ops import OpOverload

from .emitter import Emitter

Rule = Callable[..., Any]
_R = TypeVar("_R", bound=Rule)
RULES: dict[OpOverload, Rule] = {}
NAMED_RULES: dict[str, Rule] = {}  # for operators that exist once their library is imported


def normalizes(*ops: OpOverload) -> Callable[[_R], _R]:
    """Register a function as the normal form of `ops`; a second rule for one op is an error."""

    def add(rule: _R) -> _R:
        for op in ops:
            if RULES.setdefault(op, rule) is not rule:
                raise ValueError(f"two normal forms for {op}")
        return rule

    return add


def normalizes_named(name: str) -> Callable[[_R], _R]:
    """Register a function as the normal form of another library's operator, by its full name."""

    def add(rule: _R) -> _R:
        assert name not in NAMED_RULES, name
        NAMED_RULES[name] = rule
        return rule

    return add


def normal_form(op: OpOverload) -> Rule | None:
    """The rule for an operator; None where its call is in normal form as it is."""
    return RULES.get(op) or NAMED_RULES.get(op.name())


def emit_normal(emit: Emitter, op: OpOverload, args: Any, kwargs: Any) -> Any:
    """The normal form of a call, emitted: a node, or a list of nodes for several results."""
    rule = normal_form(op)
    return emit(op, *args, **kwargs) if rule is None else rule(emit, *args, **kwargs)
