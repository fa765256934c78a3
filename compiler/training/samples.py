"""Samples in memory: cut from batches of any size, put together to others in any order."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..batches import Batch
from ..errors import CompileError
from ..ir.program import Program


class Samples:
    """Batches of one sample each, where a sample is what the program was traced for.

    Args:
        program: What the data is for.
        data: Read once. An input that all samples of a batch share belongs to each of them.

    Raises:
        CompileError: Labels that cannot be told apart by samples.
    """

    def __init__(self, program: Program, data: Iterable[Batch]) -> None:
        self.program = program
        self.samples: list[Batch] = []
        for batch in data:
            self.samples += split(program, batch)

    def __len__(self) -> int:
        return len(self.samples)

    def drawn(self, size: int, seed: int) -> Iterator[Batch]:
        """All samples once in random order, `size` in a batch; the rest that fills none is left.

        Where there are fewer than `size`, one batch holds all of them.
        """
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed)).tolist()
        size = min(size, len(self))
        for start in range(0, len(self) - size + 1, size):
            yield join([self.samples[index] for index in order[start : start + size]])

    def in_order(self, size: int) -> list[Batch]:
        """All samples, `size` in a batch, fewer in the last."""
        return [join(self.samples[start : start + size]) for start in range(0, len(self), size)]

    def divide(self, part: float, seed: int) -> tuple["Samples", "Samples"]:
        """The samples without a random part of them, and that part: at least one, if there are two.

        Args:
            part: Between 0 and 1.
            seed: Of the draw.
        """
        count = min(max(1, round(part * len(self))), len(self) - 1) if part > 0 else 0
        order = torch.randperm(len(self), generator=torch.Generator().manual_seed(seed)).tolist()
        chosen = set(order[:count])
        parts: list[list[Batch]] = [[], []]
        for index, sample in enumerate(self.samples):
            parts[index in chosen].append(sample)
        return Samples(self.program, parts[0]), Samples(self.program, parts[1])


def split(program: Program, batch: Batch) -> list[Batch]:
    """The samples of a batch for `program`."""
    if batch.times == 1:
        return [batch]
    inputs = [
        (tensor,) * batch.times if tensor.shape == spec.shape else tensor.chunk(batch.times)
        for tensor, spec in zip(batch.inputs, program.inputs, strict=True)
    ]
    labels = _split_labels(batch.labels, batch.times)
    return [Batch(tuple(parts), label) for *parts, label in zip(*inputs, labels, strict=True)]


def join(samples: Sequence[Batch]) -> Batch:
    """The batch of these samples, in their order."""
    if len(samples) == 1:
        return samples[0]
    inputs = zip(*(sample.inputs for sample in samples), strict=True)
    return Batch(
        tuple(torch.cat(parts) if parts[0].dim() else parts[0] for parts in inputs),
        _join_labels([sample.labels for sample in samples]),
        len(samples),
    )


def _split_labels(labels: Any, times: int) -> list[Any]:
    if labels is None:
        return [None] * times
    if isinstance(labels, Tensor) and labels.dim() and labels.shape[0] % times == 0:
        return list(labels.chunk(times))
    if isinstance(labels, Mapping):
        columns = {key: _split_labels(value, times) for key, value in labels.items()}
        return [{key: column[index] for key, column in columns.items()} for index in range(times)]
    if isinstance(labels, (list, tuple)):
        nested = any(isinstance(label, (Tensor, list, tuple, Mapping)) for label in labels)
        if nested:
            return list(zip(*(_split_labels(label, times) for label in labels), strict=True))
        if len(labels) == times:
            return list(labels)
    raise CompileError(
        "labels cannot be told apart by samples",
        got=f"{type(labels).__name__} for {times} samples",
        fix="give tensors with samples on dimension 0, or train with batch_size=0",
    )


def _join_labels(labels: Sequence[Any]) -> Any:
    first = labels[0]
    if first is None:
        return None
    if isinstance(first, Tensor):
        return torch.cat(list(labels)) if first.dim() else torch.stack(list(labels))
    if isinstance(first, Mapping):
        return {key: _join_labels([label[key] for label in labels]) for key in first}
    if isinstance(first, (list, tuple)):
        return tuple(_join_labels(parts) for parts in zip(*labels, strict=True))
    return torch.tensor(labels) if isinstance(first, (bool, int, float)) else list(labels)
