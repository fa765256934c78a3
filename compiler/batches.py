"""The data that passes look at: calibration inputs in whatever form a user has them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Any

import torch

from .errors import CompileError
from .ir.program import Program
from .ir.tensor_spec import TensorSpec

_FIX = "give an iterable of what the model takes, or of (inputs, labels) pairs"


@dataclass(frozen=True)
class Batch:
    """Inputs of one or more samples, flat in the order of the program's inputs, and their labels.

    `times` is how often the number of samples holds that which the program was traced for.
    """

    inputs: tuple[torch.Tensor, ...]
    labels: Any = None
    times: int = 1


class Batches:
    """Batches that can be read again and again; every one is checked when it is read.

    Args:
        program: What the inputs are for.
        data: Each item is what the model takes (a tensor, a tuple or list, a dict of keyword
            inputs), or a pair of that and labels. Inputs have the traced shapes, or k times as much
            on dimension 0. An iterator that can be read once is kept in memory.

    Raises:
        CompileError: On reading: no batch at all, or one that does not fit or is not finite.
    """

    def __init__(self, program: Program, data: Iterable[Any]) -> None:
        if not isinstance(data, Iterable) or isinstance(data, (torch.Tensor, Mapping, str)):
            raise CompileError("data must be an iterable of batches", got=_kind(data), fix=_FIX)
        self._program = program
        self._data = list(data) if isinstance(data, Iterator) else data

    def __len__(self) -> int:
        """Number of batches; counted by reading where the data has no length."""
        return len(self._data) if isinstance(self._data, Sized) else sum(1 for _ in self._data)

    def __iter__(self) -> Iterator[Batch]:
        empty = True
        for number, item in enumerate(self._data):
            empty = False
            yield _batch(self._program, item, f"batch {number}")
        if empty:
            raise CompileError("the data holds no batch", fix=_FIX)


def as_batches(program: Program, data: Any) -> Batches:
    """`data` as batches of inputs of `program`."""
    return data if isinstance(data, Batches) else Batches(program, data)


def samples_of(program: Program, inputs: Sequence[torch.Tensor], at: str = "") -> int:
    """How often `inputs` hold the number of samples that `program` was traced for.

    Raises:
        CompileError: A dtype or shape does not fit, or two inputs hold different numbers.
    """
    counts: set[int] = set()
    for name, spec, tensor in zip(program.input_names, program.inputs, inputs, strict=True):
        shape = tuple(tensor.shape)
        fits = tensor.dtype == spec.torch_dtype and len(shape) == len(spec.shape)
        if not fits or (shape != spec.shape and not _multiple(shape, spec.shape)):
            raise CompileError(
                f"input {name} must be {spec}, or as many samples of it",
                at=at,
                got=_kind(tensor),
                fix="give inputs of the traced shapes; dimension 0 may be a multiple",
            )
        if shape != spec.shape:
            counts.add(shape[0] // spec.shape[0])
    if len(counts) > 1:
        shapes = ", ".join(str(list(tensor.shape)) for tensor in inputs)
        raise CompileError("inputs hold different numbers of samples", at=at, got=shapes)
    return counts.pop() if counts else 1


def _batch(program: Program, item: Any, at: str) -> Batch:
    inputs, labels = _split(program, item, at)
    times = samples_of(program, inputs, at)
    for name, tensor in zip(program.input_names, inputs, strict=True):
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise CompileError(f"input {name} holds NaN or infinity", at=at, fix="clean the data")
    return Batch(tuple(tensor.detach() for tensor in inputs), labels, times)


def _split(program: Program, item: Any, at: str) -> tuple[list[torch.Tensor], Any]:
    """Flat inputs and labels: the item is taken as inputs if it fits, as a pair if not."""
    try:
        return _flatten(program, item), None
    except CompileError as error:
        if isinstance(item, (tuple, list)) and len(item) == 2:
            try:
                return _flatten(program, item[0]), item[1]
            except CompileError:
                pass
        raise CompileError(
            f"the data does not fit the model: {error.what}", at=at, got=error.got, fix=_FIX
        ) from error


def _flatten(program: Program, item: Any) -> list[torch.Tensor]:
    if isinstance(item, Mapping):
        if set(item) == set(program.input_names):
            item = [item[name] for name in program.input_names]
            return program.flatten_inputs(tuple(item), {})
        return program.flatten_inputs((), dict(item))
    if isinstance(item, (tuple, list)):
        return program.flatten_inputs(tuple(item), {})
    return program.flatten_inputs((item,), {})


def _multiple(shape: tuple[int, ...], traced: tuple[int, ...]) -> bool:
    if not shape or shape[1:] != traced[1:] or traced[0] == 0:
        return False
    return shape[0] > 0 and shape[0] % traced[0] == 0


def _kind(value: object) -> str:
    return str(TensorSpec.of(value)) if isinstance(value, torch.Tensor) else type(value).__name__
