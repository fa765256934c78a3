"""Writes normal-form nodes into a program: arguments in schema order, defaults left out."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch._ops import OpOverload
from torch.fx import Graph, Node

from ...ir.inference import fake_of, infer
from ...ir.program import Origin
from ...ir.tensor_spec import TensorSpec

# Arguments that say where and how a tensor is stored, never what its values are.
_STORAGE = frozenset(
    {"device", "layout", "pin_memory", "memory_format", "non_blocking", "cudnn_enable"}
)


class Emitter:
    """Appends calls to a graph, each with its inferred value and the current origin.

    Args:
        graph: Where calls are appended, before `graph`'s current insertion point.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.origin = Origin()
        self.traced: Node | None = None  # the node of the traced graph that is being copied

    def __call__(self, target: OpOverload, *args: Any, **kwargs: Any) -> Node:
        """A node for `target(*args, **kwargs)`."""
        args, kwargs = normal_arguments(target, args, kwargs)
        specs = infer(target, args, kwargs)
        node = self.graph.call_function(target, args, kwargs)
        node.meta = {"val": fake_of(specs), "origin": self.origin}
        return node

    @property
    def out(self) -> TensorSpec:
        """The spec of the traced node's one result; of its real part, if that is complex."""
        assert self.traced is not None
        value = self.traced.meta["val"]
        return TensorSpec.of(value.real if value.dtype.is_complex else value)

    @property
    def gives_complex(self) -> bool:
        """Whether the traced node's one result is complex."""
        assert self.traced is not None
        return bool(self.traced.meta["val"].dtype.is_complex)


def normal_arguments(
    target: OpOverload, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Arguments in schema order; without defaults, storage options and negative dims."""
    schema = target._schema.arguments
    given = {**dict(zip((a.name for a in schema), args, strict=False)), **kwargs}
    rank = _rank(next((v for v in given.values() if _rank(v) is not None), None))
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for argument in schema:
        default = argument.default_value if argument.has_default_value() else None
        value = given.get(argument.name, default)
        if argument.name in ("dim", "dims") and rank:
            value = _non_negative(value, rank)
        if not argument.kwarg_only:
            positional.append(_plain(value))
        elif argument.name not in _STORAGE and (
            value != default or not argument.has_default_value()
        ):
            keywords[argument.name] = _plain(value)
    for argument in reversed([a for a in schema if not a.kwarg_only]):
        is_default = argument.has_default_value() and _same(positional[-1], argument.default_value)
        if not is_default and argument.name not in _STORAGE:
            break
        positional.pop()
    return tuple(positional), keywords


def _rank(value: Any) -> int | None:
    if isinstance(value, (list, tuple)) and value:
        return _rank(value[0])
    is_tensor = isinstance(value, Node) and isinstance(value.meta["val"], torch.Tensor)
    return len(value.meta["val"].shape) if is_tensor else None


def _non_negative(dim: Any, rank: int) -> Any:
    if isinstance(dim, (list, tuple)):
        return [_non_negative(item, rank) for item in dim]
    return dim + rank if isinstance(dim, int) and not isinstance(dim, bool) and dim < 0 else dim


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _same(left: Any, right: Any) -> bool:
    return type(left) is type(right) and not isinstance(left, Node) and bool(left == right)
