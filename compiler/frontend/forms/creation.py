"""Normal forms of what depends on a shape alone: `full`, which folds into a constant."""

from typing import Any

import torch
from torch.fx import Node

from .emitter import Emitter
from .registry import normalizes

_ATEN = torch.ops.aten


@normalizes(
    _ATEN.zeros_like.default,
    _ATEN.new_zeros.default,
    _ATEN.empty_like.default,
    _ATEN.new_empty.default,
    _ATEN.empty.memory_format,
    _ATEN.empty_permuted.default,
)
def zeros(emit: Emitter, *_: object, **__: object) -> Node:
    """full(shape, 0): depends on the shape alone, and gives "empty" tensors a value."""
    return full(emit, 0)


@normalizes(_ATEN.ones_like.default, _ATEN.new_ones.default)
def ones(emit: Emitter, *_: object, **__: object) -> Node:
    """full(shape, 1)."""
    return full(emit, 1)


@normalizes(_ATEN.full_like.default)
def full_like(emit: Emitter, x: Node, value: Any, **_: object) -> Node:
    """full(shape, value)."""
    return full(emit, value)


@normalizes(_ATEN.new_full.default)
def new_full(emit: Emitter, x: Node, shape: list[int], value: Any, **_: object) -> Node:
    """full(shape, value)."""
    return full(emit, value)


def full(emit: Emitter, value: Any) -> Node:
    """The value in the shape of the traced result."""
    spec = emit.out
    return emit(_ATEN.full.default, list(spec.shape), value, dtype=spec.torch_dtype)
