"""Normal equations of ridge regression, summed up over batches in float64."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

RIDGES = (0.001, 0.01, 0.1, 1.0)


@dataclass
class NormalEquations:
    """Sums for min over M, b of  sum_r w_r |x_r M + b - t_r|^2 + ridge |M - M0|^2.

    Args:
        gram: X^T W X [features, features].
        cross: X^T W T [features, outputs].
        feature_sum: [features], that of W X over rows.
        target_sum: [outputs], that of W T over rows.
        weight: The sum of all row weights.
    """

    gram: Tensor
    cross: Tensor
    feature_sum: Tensor
    target_sum: Tensor
    weight: float = 0.0

    @classmethod
    def of_size(cls, features: int, outputs: int) -> "NormalEquations":
        """Equations without any row."""
        return cls(
            torch.zeros(features, features, dtype=torch.float64),
            torch.zeros(features, outputs, dtype=torch.float64),
            torch.zeros(features, dtype=torch.float64),
            torch.zeros(outputs, dtype=torch.float64),
        )

    def add(self, features: Tensor, targets: Tensor, weights: Tensor) -> None:
        """Add rows: features [rows, F], targets [rows, O], weights [rows] >= 0."""
        used = weights > 0
        x, t, w = (part[used].double() for part in (features, targets, weights))
        weighted = x * w[:, None]
        self.gram += weighted.T @ x
        self.cross += weighted.T @ t
        self.feature_sum += weighted.sum(0)
        self.target_sum += w @ t
        self.weight += float(w.sum())

    def __add__(self, other: "NormalEquations") -> "NormalEquations":
        """The equations of the rows of both."""
        return NormalEquations(
            self.gram + other.gram,
            self.cross + other.cross,
            self.feature_sum + other.feature_sum,
            self.target_sum + other.target_sum,
            self.weight + other.weight,
        )

    def error(self, matrix: Tensor, offset: Tensor | None) -> float:
        """The weighted squared error of a fit, up to a number that is the same for all fits."""
        total = (matrix * (self.gram @ matrix - 2 * self.cross)).sum()
        if offset is not None:
            total += 2 * offset @ (self.feature_sum @ matrix - self.target_sum)
            total += self.weight * offset @ offset
        return float(total)

    def scatter(self, *, centered: bool) -> Tensor:
        """The mean of x x^T over the rows, around the mean of x if `centered`."""
        total = max(self.weight, 1e-300)
        gram = self.gram / total
        mean = self.feature_sum / total
        return gram - torch.outer(mean, mean) if centered else gram

    def solve(
        self, ridge: float, prior: Tensor, *, with_offset: bool
    ) -> tuple[Tensor, Tensor | None]:
        """The matrix [features, outputs] and the offset [outputs], None without one.

        Args:
            ridge: Relative to the mean of the features' energies.
            prior: M0: where there is no data, the result stays what it was.
            with_offset: Whether the layer has a bias to fit.
        """
        total = max(self.weight, 1e-300)
        scatter, cross = self.scatter(centered=with_offset), self.cross / total
        mean, target = self.feature_sum / total, self.target_sum / total
        if with_offset:
            cross = cross - torch.outer(mean, target)
        damping = max(ridge * float(scatter.diagonal().mean()), 1e-12)
        system = scatter + damping * torch.eye(len(scatter), dtype=torch.float64)
        matrix = torch.linalg.solve(system, cross + damping * prior)
        return matrix, target - mean @ matrix if with_offset else None


def best_ridge(halves: Sequence[NormalEquations], prior: Tensor, *, with_offset: bool) -> float:
    """The one of `RIDGES` with which a fit to each half of the rows predicts the other half best.

    With few rows a small ridge fits what they have by chance.
    """
    first, second = halves

    def unseen(ridge: float) -> float:
        total = 0.0
        for known, other in ((first, second), (second, first)):
            total += other.error(*known.solve(ridge, prior, with_offset=with_offset))
        return total

    return min(RIDGES, key=unseen)
