"""Which elements of an axis, with which weights, make each element of the resized axis."""

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

import numpy as np
import torch

from ..builder import Array, KernelBuilder
from .indices import Index

# Resizes the last axis of [1, channels, size] as PyTorch does: (input, size, align_corners, scale).
Resize = Callable[[torch.Tensor, int, bool, float | None], Any]


@dataclass(frozen=True)
class Taps:
    """y[i] = sum_k weights[i, k] * x[starts[i] + k], every place inside the axis."""

    starts: Array  # [size] int32
    weights: Array  # [size, count]

    @property
    def count(self) -> int:
        """Elements read for each result."""
        return int(self.weights.shape[1])

    @property
    def copies(self) -> bool:
        """Whether every result is one element as it is."""
        return self.count == 1 and bool((self.weights == 1).all())

    def place(self, kernel: KernelBuilder, axis: int) -> Callable[[Index], Index]:
        """The first place as a function of the result's index: arithmetic, else a table."""
        index = np.arange(len(self.starts))
        size = int(self.starts[-1]) + self.count
        if np.array_equal(self.starts, index):
            return lambda i: i
        up, down = max(1, len(index) // size), max(1, size // len(index))
        if np.array_equal(self.starts, index // up):
            return lambda i: i // up
        if np.array_equal(self.starts, index * down):
            return lambda i: i * down
        table = kernel.table(self.starts, f"starts{axis}")
        return lambda i: table(i)


def find_taps(
    resize: Resize, size: int, result: int, align_corners: bool, scale: float | None, dtype: Any
) -> Taps:
    """The taps of a resize from `size` to `result` elements.

    PyTorch itself is asked, so that its rules of rounding hold: resized combs, where element i is
    in channel i mod period, tell the weights; a resized ramp tells where each result comes from.
    """
    period = min(size, 2 * ceil(4 * max(1.0, size / result)) + 4)  # twice the widest filter
    place = torch.arange(size)
    combs = (place % period == torch.arange(period)[:, None]).to(dtype)[None]
    ramp = place.double()[None, None]
    weight = resize(combs, result, align_corners, scale)[0].numpy()
    center = resize(ramp, result, align_corners, scale)[0, 0].numpy()

    low = np.clip(np.rint(center).astype(int) - period // 2, 0, size - period)
    window = low[:, None] + np.arange(period)
    near = weight[window % period, np.arange(result)[:, None]]
    first = (near != 0).argmax(axis=1)
    last = period - 1 - (near[:, ::-1] != 0).argmax(axis=1)
    count = int((last - first).max()) + 1
    starts = np.minimum(low + first, size - count)
    padded = np.pad(near, ((0, 0), (0, count)))
    weights = np.take_along_axis(padded, (starts - low)[:, None] + np.arange(count), axis=1)
    return Taps(starts.astype(np.int32), weights)
