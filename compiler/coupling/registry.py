"""The table of coupling rules: for each operator, how labels go through it."""

from collections.abc import Callable
from typing import Any, TypeVar

from torch._ops import OpOverload

from .flow import Value

# A rule gets the flow, the call and its arguments in the order of the schema, defaults included.
Rule = Callable[..., Value]
RULES: dict[OpOverload, Rule] = {}
_R = TypeVar("_R", bound=Callable[..., Any])


def couples(*targets: OpOverload) -> Callable[[_R], _R]:
    """Register a function as the rule of operators; a second rule for one is an error."""

    def add(rule: _R) -> _R:
        for target in targets:
            if target in RULES:
                raise ValueError(f"two coupling rules for {target}")
            RULES[target] = rule
        return rule

    return add
