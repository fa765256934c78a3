"""How far values are from others, summed over batches."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass
class Difference:
    """Sums over all elements that were added.

    Args:
        signal: Squares of the values that are wanted.
        noise: Squares of the differences.
        energy: Squares of the values that there are.
        product: Products of both.
        max_error: The largest difference.
    """

    signal: float = 0.0
    noise: float = 0.0
    energy: float = 0.0
    product: float = 0.0
    max_error: float = 0.0

    def add(self, wanted: Tensor, got: Tensor) -> None:
        """Some more elements; both tensors have as many."""
        wanted, got = wanted.detach().double().flatten(), got.detach().double().flatten()
        error = got - wanted
        self.signal += float(wanted @ wanted)
        self.noise += float(error @ error)
        self.energy += float(got @ got)
        self.product += float(wanted @ got)
        if error.numel():
            largest = float(error.abs().max())  # NaN is no error that may be lost
            self.max_error = largest if math.isnan(largest) else max(self.max_error, largest)

    @property
    def sqnr(self) -> float:
        """Signal to noise in decibels: infinite where nothing differs, -inf where all is noise."""
        if self.noise == 0:
            return math.inf
        if not self.signal or not math.isfinite(self.noise):
            return -math.inf
        return 10 * math.log10(self.signal / self.noise)

    @property
    def cosine(self) -> float:
        """The cosine of the angle between both, as vectors of all elements; 1 where both are 0."""
        length = math.sqrt(self.signal * self.energy)
        return self.product / length if length else float(self.signal == self.energy)


def decibels(value: float) -> str:
    """A ratio to read; nothing differs where it is infinite."""
    return "equal" if value == math.inf else f"{value:.1f}"


def is_float(value: object) -> bool:
    """Whether a value is a tensor of real numbers."""
    return isinstance(value, Tensor) and value.dtype in (
        torch.float16,
        torch.bfloat16,
        torch.float32,
        torch.float64,
    )
