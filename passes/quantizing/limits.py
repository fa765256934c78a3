"""The range that integers cover, from what was observed of a value."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor

from .observe import BINS, Observation

Observer = Literal["min-max", "moving-average", "percentile", "mse", "entropy"]
HISTOGRAMS = {"percentile", "mse", "entropy"}
_TAIL = 1e-5  # of the values, on both sides together, that a percentile leaves out
_PARTS = 32  # of a range whose ends are searched


def limits(observation: Observation, observer: Observer, levels: int) -> tuple[float, float]:
    """The least and the greatest value that integers stand for; 0 is always between them.

    Args:
        observation: What was seen.
        observer: "min-max": everything. "moving-average": the average over batches, late ones count
            more. "percentile": all but one value in 100 000. "mse": what leaves the least squared
            error. "entropy": what keeps most of the distribution (Kullback and Leibler's
            divergence, as TensorRT chooses).
        levels: How many integers there are.
    """
    low, high = _LIMITS[observer](observation, levels)
    return min(low, 0.0), max(high, 0.0)


def _min_max(seen: Observation, levels: int) -> tuple[float, float]:
    return seen.low, seen.high


def _moving_average(seen: Observation, levels: int) -> tuple[float, float]:
    return seen.usual_low, seen.usual_high


def _percentile(seen: Observation, levels: int) -> tuple[float, float]:
    shares = seen.counts / seen.counts.sum()
    until = shares.cumsum(0)
    inner = ((until > _TAIL / 2) & (until - shares < 1 - _TAIL / 2)).nonzero()
    width = (seen.high - seen.low) / BINS
    return seen.low + float(inner[0]) * width, seen.low + (float(inner[-1]) + 1) * width


def _least_squares(seen: Observation, levels: int) -> tuple[float, float]:
    """The pair of ends with the least squared error, of a grid of pairs."""
    centers, shares = seen.centers(), seen.counts / seen.counts.sum()

    def error(low: Tensor, high: Tensor) -> Tensor:
        steps = ((high - low) / (levels - 1)).clamp(min=1e-30)[:, None]
        clamped = torch.minimum(torch.maximum(centers, low[:, None]), high[:, None])
        rounded = torch.round(clamped / steps) * steps
        return ((rounded - centers).square() * shares).sum(1)

    return _best(seen, error)


def _entropy(seen: Observation, levels: int) -> tuple[float, float]:
    """The pair of ends with the least divergence of the rounded from the clamped distribution.

    Zeros do not count: they are exact, and what relu makes of half of all values.
    """
    centers, counts = seen.centers(), seen.counts.clone()
    counts[centers.abs().argmin()] = 0
    shares = counts / counts.sum().clamp(min=1)

    def divergence(low: Tensor, high: Tensor) -> Tensor:
        found = []
        for least, greatest in zip(low.tolist(), high.tolist(), strict=True):
            step = max((greatest - least) / (levels - 1), 1e-30)
            inner = (centers >= least) & (centers <= greatest)
            if not (shares * inner).any():
                found.append(torch.inf)
                continue
            clamped = shares * inner
            clamped[inner.nonzero()[0]] += shares[centers < least].sum()
            clamped[inner.nonzero()[-1]] += shares[centers > greatest].sum()
            place = torch.round((centers.clamp(least, greatest) - least) / step).long()
            used = (inner & (shares > 0)).double()
            zeros = torch.zeros(levels, dtype=torch.float64)
            mass = zeros.scatter_add(0, place, shares * inner)
            spread = zeros.scatter_add(0, place, used).clamp(min=1)
            rounded = (mass / spread)[place] * used
            rounded = rounded / rounded.sum().clamp(min=1e-30)
            both = clamped > 0
            ratio = clamped[both] / rounded[both].clamp(min=1e-12)
            found.append(float((clamped[both] * ratio.log()).sum()))
        return torch.tensor(found)

    return _best(seen, divergence)


def _best(seen: Observation, cost: Callable[[Tensor, Tensor], Tensor]) -> tuple[float, float]:
    """The ends with the least cost: first of both shrunk alike, then of either alone."""
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    shares = torch.arange(1, _PARTS + 1, dtype=torch.float64) / _PARTS
    for lows, highs in ((shares, shares), (torch.ones(1), shares), (shares, torch.ones(1))):
        left, right = torch.broadcast_tensors(lows.double() * low, highs.double() * high)
        best = int(cost(left, right).argmin())
        low, high = float(left[best]), float(right[best])
    return low, high


_LIMITS: dict[str, Callable[[Observation, int], tuple[float, float]]] = {
    "min-max": _min_max,
    "moving-average": _moving_average,
    "percentile": _percentile,
    "mse": _least_squares,
    "entropy": _entropy,
}
