"""Arguments and metadata of nodes as JSON values, exactly: 1, 1.0 and True stay apart."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.fx import Node

from ..errors import CompileError
from .tensor_spec import TensorSpec

_TORCH_TYPES = (torch.dtype, torch.memory_format, torch.layout)


def encode(value: Any, index: Mapping[Node, int]) -> Any:
    """A value as JSON; what JSON has no form for becomes an object with one key that names it.

    Args:
        value: Nodes, specs, numbers, strings, None, torch constants, and lists, tuples and dicts
            (with string keys) of them.
        index: The number that stands for each node.
    """
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, Node):
        return {"node": index[value]}
    if isinstance(value, TensorSpec):
        return {"spec": [list(value.shape), value.dtype]}
    if isinstance(value, torch.device):
        return {"device": str(value)}
    if isinstance(value, _TORCH_TYPES):
        return {"torch": str(value).removeprefix("torch.")}
    if isinstance(value, tuple):
        return {"tuple": [encode(item, index) for item in value]}
    if isinstance(value, list):
        return [encode(item, index) for item in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {"dict": {key: encode(item, index) for key, item in value.items()}}
    raise CompileError(
        "this value cannot be saved",
        got=f"{type(value).__name__}: {value!r}",
        fix="keep numbers, strings, dtypes, and lists, tuples and dicts of them in nodes",
    )


def decode(value: Any, nodes: Sequence[Node]) -> Any:
    """The value that `encode` was given; `nodes` are found by their numbers."""
    if isinstance(value, list):
        return [decode(item, nodes) for item in value]
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tuple":
        return tuple(decode(item, nodes) for item in content)
    if kind == "dict":
        return {key: decode(item, nodes) for key, item in content.items()}
    if kind == "spec":
        return TensorSpec(tuple(content[0]), content[1])
    simple: dict[str, Callable[[Any], Any]] = {
        "node": lambda number: nodes[number],
        "float": float,
        "device": torch.device,
        "torch": lambda name: getattr(torch, name),
    }
    return simple[kind](content)
