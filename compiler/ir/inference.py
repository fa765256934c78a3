"""Shapes and dtypes of an op's results, computed without values (and remembered)."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import Node
from torch.fx.node import map_arg

from .tensor_spec import TensorSpec

Specs = TensorSpec | tuple[TensorSpec | None, ...]

# Dense, row-major stand-ins of one mode for the whole process, so that graphs can exchange nodes.
_FAKE_MODE = FakeTensorMode()
_KNOWN: dict[object, Specs] = {}


def fake_of(specs: Specs) -> Any:
    """A dense FakeTensor for one spec, a tuple of them for a tuple."""
    if isinstance(specs, tuple):
        return tuple(None if spec is None else fake_of(spec) for spec in specs)
    return _fake_tensor(specs)


@cache  # nothing writes to them, so one for each spec serves every node
def _fake_tensor(spec: TensorSpec) -> torch.Tensor:
    with _FAKE_MODE:
        return torch.empty(spec.shape, dtype=spec.torch_dtype)


def specs_of(value: Any) -> Specs:
    """The spec of a tensor, a tuple of specs for a list or tuple of tensors."""
    if isinstance(value, (tuple, list)):
        return tuple(None if item is None else TensorSpec.of(item) for item in value)
    return TensorSpec.of(value)


def infer(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Specs:
    """The specs that `target` gives for these arguments; nodes among them stand for their value.

    Strides never count: every argument is taken as dense and row-major.
    """
    key = (target, _freeze(args), _freeze(kwargs))
    if key not in _KNOWN:
        fake_args = map_arg(tuple(args), lambda node: fake_of(specs_of(node.meta["val"])))
        fake_kwargs = map_arg(dict(kwargs), lambda node: fake_of(specs_of(node.meta["val"])))
        with _FAKE_MODE, torch.no_grad():
            _KNOWN[key] = specs_of(target(*fake_args, **fake_kwargs))
    return _KNOWN[key]


def set_value(node: Node) -> None:
    """Fill `meta["val"]` of a call_function node from its arguments."""
    node.meta["val"] = fake_of(infer(node.target, node.args, node.kwargs))


def _freeze(value: Any) -> object:
    """A hashable image of an argument; 1, 1.0 and True stay apart."""
    if isinstance(value, Node):
        return specs_of(value.meta["val"])
    if isinstance(value, (tuple, list)):
        return tuple(_freeze(item) for item in value)
    if isinstance(value, Mapping):
        return tuple((key, _freeze(item)) for key, item in value.items())
    if isinstance(value, slice):
        return "slice", _freeze((value.start, value.stop, value.step))
    return type(value), repr(value) if isinstance(value, float) else value
