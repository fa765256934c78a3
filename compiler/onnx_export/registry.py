"""Which function says an operator of PyTorch in ONNX."""

from collections.abc import Callable
from typing import Any, TypeVar

from torch._ops import OpOverload, OpOverloadPacket

Emission = Callable[..., Any]
Rule = TypeVar("Rule", bound=Emission)
_EMISSIONS: dict[OpOverload | OpOverloadPacket, Emission] = {}


def emits(*operators: OpOverload | OpOverloadPacket) -> Callable[[Rule], Rule]:
    """Register a function that says `operators` in ONNX; a packet stands for its overloads.

    The function gets an `Emitter` and the arguments of the call in the order of the schema,
    defaults filled in: a `Value` for each tensor, everything else as it is. It returns the `Value`
    of the result, or a sequence of them (None for those that it cannot give and nobody may read).
    """

    def register(function: Rule) -> Rule:
        for operator in operators:
            assert operator not in _EMISSIONS, f"{operator} is registered twice"
            _EMISSIONS[operator] = function
        return function

    return register


def emission(operator: OpOverload) -> Emission | None:
    """The function for an operator; None where there is none."""
    return _EMISSIONS.get(operator) or _EMISSIONS.get(operator.overloadpacket)
