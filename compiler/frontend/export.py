"""A module as an `ExportedProgram`, in evaluation mode, the user's module left as it was."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from ..errors import CompileError


def export(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ExportedProgram:
    """`torch.export` of the model in evaluation mode.

    Non-strict tracing runs the model's Python and follows more models; what it cannot follow is
    tried again by strict tracing, which reads the byte code.
    """
    with _evaluation_mode(model), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return torch.export.export(model, args, kwargs, strict=False)
        except Exception as error:
            first = error
        try:
            return torch.export.export(model, args, kwargs, strict=True)
        except Exception:
            raise _explained(model, args, kwargs, first) from first


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


def _explained(
    model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], error: Exception
) -> CompileError:
    try:
        with torch.no_grad():
            model(*args, **kwargs)
    except Exception as own:
        return CompileError(
            "the model itself fails on its example inputs",
            at=type(model).__name__,
            got=f"{type(own).__name__}: {own}",
            fix="pass inputs that model(*inputs) accepts",
        )
    return CompileError(
        "PyTorch cannot export the model",
        at=type(model).__name__,
        got=f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}",
        fix="torch.export.export shows more; control flow on tensor values is a common cause",
    )
