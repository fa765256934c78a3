"""Runs translations while the graph is resolved: for shapes alone, or for numbers."""

from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    unset_fake_temporarily,
)

from ..errors import CompileError
from .arrays import as_array, as_tensor, torch_dtype
from .call import Value
from .steps import Step, results_of, run_step

_DEPENDS_ON_VALUES = (DataDependentOutputException, DynamicOutputShapeException)


def shapes_of_results(step: Step, fake_mode: FakeTensorMode) -> tuple[Any, ...] | None:
    """The results of a step as fake tensors; None where their shapes depend on numbers.

    Raises:
        CompileError: The translation refuses, or PyTorch does.
    """
    try:
        with torch.no_grad(), fake_mode:
            return results_of(step.translation(step.call))
    except CompileError:
        raise
    except _DEPENDS_ON_VALUES:
        return None
    except Exception as error:  # whatever PyTorch raises for operands that do not fit
        raise step.call.refused(_message(error)) from error


def numbers_of_results(step: Step) -> tuple[Any, ...]:
    """The results of a step, all of whose inputs are known, as arrays.

    Raises:
        CompileError: The translation refuses, or PyTorch does.
    """
    try:
        with torch.no_grad(), unset_fake_temporarily():  # a translation may ask while it is traced
            return tuple(_as_arrays(result) for result in run_step(step, _real))
    except CompileError:
        raise
    except Exception as error:  # whatever PyTorch raises for operands that do not fit
        raise step.call.refused(_message(error)) from error


def byte_count(results: Any) -> int:
    """Memory that fake tensors, or lists of them, stand for."""
    if isinstance(results, (tuple, list)):
        return sum(map(byte_count, results))
    return results.numel() * results.itemsize if isinstance(results, Tensor) else 0


def _real(value: Value) -> Tensor | None:
    array = value.numbers()
    return None if array is None or torch_dtype(array) is None else as_tensor(array)


def _as_arrays(result: Any) -> Any:
    if isinstance(result, list):
        return [_as_arrays(item) for item in result]
    return as_array(result) if isinstance(result, Tensor) else result


def _message(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return ": ".join([type(error).__name__, *lines[:1]])
