"""Rows for least squares: every position of every sample, or as many of them as are needed."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .least_squares import NormalEquations
from .readers import Reader

_FEWEST_ROWS = 4096
_LEAST_PER_FEATURE, _MOST_PER_FEATURE = 4, 64
_PRODUCTS = 10**11  # for the features of all rows with each other: seconds on one core
_CHUNK = 1 << 24  # elements of features at once


def add_rows(
    halves: Sequence[NormalEquations],
    reader: Reader,
    source: Tensor,
    targets: Tensor,
    weights: Tensor,
    batches: int,
    generator: torch.Generator,
) -> None:
    """Add what a layer read in one batch, with the results that are wanted for it.

    Args:
        halves: Of the layer's features; a sample goes to one of them, drawn.
        reader: The layer.
        source: What it read, [samples, ...].
        targets: The wanted results as [rows, outputs].
        weights: What a row counts, [samples, positions...].
        batches: How many batches share the rows that are enough.
        generator: Draws halves, and the rows where there are more than enough.
    """
    share = -(-enough_rows(reader.feature_count) // batches)
    chosen = _thinned(weights.flatten(), share, generator)
    samples = source.shape[0]
    rows = len(chosen) // samples
    step = max(1, _CHUNK // max(1, rows * reader.feature_count))
    half = torch.randint(len(halves), (samples,), generator=generator)
    for start in range(0, samples, step):
        part = chosen[start * rows : (start + step) * rows]
        owner = half[start : start + step].repeat_interleave(rows)
        features = reader.features(source[start : start + step])
        wanted = targets[start * rows : (start + step) * rows]
        for number, equations in enumerate(halves):
            used = ((part != 0) & (owner == number)).nonzero()[:, 0]
            equations.add(features[used], wanted[used], part[used])


def enough_rows(features: int) -> int:
    """Rows that a fit of so many features gets where there are more."""
    affordable = min(_MOST_PER_FEATURE * features, _PRODUCTS // features**2)
    return max(_FEWEST_ROWS, _LEAST_PER_FEATURE * features, affordable)


def _thinned(weights: Tensor, enough: int, generator: torch.Generator) -> Tensor:
    """The weights, 0 for rows that are left out; their sum is about the same."""
    used = weights.nonzero()[:, 0]
    if len(used) <= enough:
        return weights
    drawn = used[torch.randperm(len(used), generator=generator)[:enough]]
    thinned = torch.zeros_like(weights)
    thinned[drawn] = weights[drawn] * (len(used) / enough)
    return thinned
