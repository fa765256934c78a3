"""What a model is traced with: the user's example inputs, or those that the model carries."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from ..errors import CompileError

_FIX = "pass example_inputs: a tuple of tensors, or a dict for keyword inputs"


def example_call(
    model: nn.Module, example_inputs: object
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The `(args, kwargs)` to call `model` with.

    Args:
        model: May carry inputs as `example_input_array` (Lightning) or `dummy_inputs`
            (transformers); they are used where `example_inputs` is None.
        example_inputs: A tensor, a tuple or list (positional inputs) or a dict (keyword inputs).
    """
    if example_inputs is None:
        example_inputs = _carried(model)
    if isinstance(example_inputs, torch.Tensor):
        return (example_inputs,), {}
    if isinstance(example_inputs, Mapping):
        return (), dict(example_inputs)
    if isinstance(example_inputs, (tuple, list)):
        return tuple(example_inputs), {}
    raise CompileError(
        "example inputs must be a tensor, a tuple or a dict",
        got=type(example_inputs).__name__,
        fix=_FIX,
    )


def _carried(model: nn.Module) -> object:
    for attribute in ("example_input_array", "dummy_inputs"):
        if (value := getattr(model, attribute, None)) is not None:
            return value
    raise CompileError(
        f"{type(model).__name__} carries no example inputs, and a model is traced with some",
        fix=_FIX,
    )
