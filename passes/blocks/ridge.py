"""Ridge regression whose strength is chosen by how well one half of the data predicts the other."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..channels.least_squares import NormalEquations

RIDGES = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0)


def best_ridge(halves: Sequence[NormalEquations], prior: Tensor, *, with_offset: bool) -> float:
    """The one of `RIDGES` under which each half of the rows best predicts the other.

    Args:
        halves: Two sets of rows; the same ones without a row leave nothing to choose.
        prior: What the matrix is drawn to, [features, outputs].
        with_offset: Whether a bias is fitted.
    """
    first, second = halves
    pairs = ((first, second), (second, first))
    errors = torch.zeros(len(RIDGES), dtype=torch.float64)
    for train, test in pairs:
        if train.weight <= 0 or test.weight <= 0:
            return RIDGES[-1]
        errors += _errors(train, test, prior, with_offset=with_offset)
    return RIDGES[int(errors.argmin())]


def _errors(
    train: NormalEquations, test: NormalEquations, prior: Tensor, *, with_offset: bool
) -> Tensor:
    """Mean squared error on `test` of what `train` gives, for each ridge, up to a constant."""
    scatter, correction = _centered(train, prior, with_offset=with_offset)
    values, vectors = torch.linalg.eigh(scatter)
    rotated = vectors.T @ correction
    mean_energy = float(scatter.diagonal().mean())
    test_scatter, test_correction = _centered(test, prior, with_offset=with_offset)
    energy = vectors.T @ test_scatter @ vectors
    cross = vectors.T @ test_correction
    found = []
    for ridge in RIDGES:
        change = rotated / (values.clamp_min(0) + ridge * mean_energy + 1e-12)[:, None]
        found.append((change * (energy @ change)).sum() - 2 * (change * cross).sum())
    return torch.stack(found)


def _centered(rows: NormalEquations, prior: Tensor, *, with_offset: bool) -> tuple[Tensor, Tensor]:
    """Scatter of the features, and their covariance with what the prior leaves of the targets."""
    scatter, cross = rows.scatter(centered=with_offset), rows.cross / rows.weight
    if with_offset:
        mean, target = rows.feature_sum / rows.weight, rows.target_sum / rows.weight
        cross = cross - torch.outer(mean, target)
    return scatter, cross - scatter @ prior
