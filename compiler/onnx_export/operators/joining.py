"""What joins tensors, and what makes new ones."""

from collections.abc import Sequence
from typing import Any

import torch

from ..emitter import Emitter, Number, Value
from ..registry import emits
from .views import expanded

_ATEN = torch.ops.aten


@emits(_ATEN.cat)
def cat(emit: Emitter, parts: Sequence[Value], dim: int) -> Value:
    joined = [emit.cast(part, emit.dtype) for part in parts if part.shape != (0,)]
    return emit("Concat", *joined, axis=dim % len(emit.shape))


@emits(_ATEN.stack)
def stack(emit: Emitter, parts: Sequence[Value], dim: int) -> Value:
    axis = dim % len(emit.shape)
    shape = [1 if place == axis else size for place, size in enumerate(emit.shape)]
    joined = [emit.reshape(emit.cast(part, emit.dtype), shape) for part in parts]
    return emit("Concat", *joined, axis=axis)


@emits(
    _ATEN.full,
    _ATEN.full_like,
    _ATEN.zeros,
    _ATEN.zeros_like,
    _ATEN.ones,
    _ATEN.ones_like,
    _ATEN.new_full,
    _ATEN.new_zeros,
    _ATEN.new_ones,
    _ATEN.scalar_tensor,
)
def filled(emit: Emitter, *arguments: Any) -> Value:
    """The same number everywhere."""
    name = emit.operator.partition(".")[2].partition(".")[0]
    number: Number = 1 if "ones" in name else 0
    if "full" in name:
        number = arguments[1] if name != "new_full" else arguments[2]
    if name == "scalar_tensor":
        number = arguments[0]
    return expanded(emit, emit.scalar(number, emit.dtype), emit.shape)


@emits(
    _ATEN.arange,
    _ATEN.linspace,
    _ATEN.logspace,
    _ATEN.eye,
    _ATEN.tril_indices,
    _ATEN.triu_indices,
)
def tabulated(emit: Emitter, *arguments: Any) -> Value:
    """What depends on no tensor, as PyTorch computes it now."""
    packet_name, _, overload = emit.operator.removeprefix("aten.").partition(".")
    target = getattr(getattr(_ATEN, packet_name), overload or "default")
    schema = target._schema.arguments
    pairs = list(zip(schema, arguments, strict=True))
    plain = [value for argument, value in pairs if not argument.kwarg_only]
    named = {argument.name: value for argument, value in pairs if argument.kwarg_only}
    result = target(*plain, **named)
    return emit.constant(result.to(emit.dtype))
