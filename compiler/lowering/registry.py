"""The table of lowering rules: torch operator -> function that builds its TE tensors."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch._ops import OpOverload

Rule = Callable[..., Any]


@dataclass(frozen=True)
class _Entry:
    rule: Rule
    wants: frozenset[str]  # which of the keyword-only extras "out", "kernel" it takes


RULES: dict[OpOverload, _Entry] = {}


def lowers(*ops: OpOverload) -> Callable[[Rule], Rule]:
    """Register a function as the lowering of `ops`; a second rule for one op is an error.

    The rule gets the operator's arguments in ATen order, each tensor as a `te.Tensor`. If its
    signature has a keyword-only `out`, it also gets the `TensorSpec` of the result (a tuple of
    them for operators with several results); with a keyword-only `kernel`, the `KernelBuilder`.
    It returns a `te.Tensor` of exactly that shape and dtype, or a tuple of them.
    """

    def add(rule: Rule) -> Rule:
        parameters = inspect.signature(rule).parameters.values()
        extras = {p.name for p in parameters if p.kind is p.KEYWORD_ONLY} & {"out", "kernel"}
        for op in ops:
            if op in RULES:
                raise ValueError(
                    f"two rules for {op}: {RULES[op].rule.__qualname__}, {rule.__qualname__}"
                )
            RULES[op] = _Entry(rule, frozenset(extras))
        return rule

    return add
