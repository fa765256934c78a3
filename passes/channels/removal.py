"""Removes units one by one where a refit of what reads them makes up for it best.

This is the optimal brain surgeon (Hassibi et al. 1993) for blocks of features and a layer's own
squared error: with H the features' scatter and M the matrix [features, outputs], dropping the
features B and refitting the others costs  tr(M_B^T (H^-1)_BB^-1 M_B).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .units import Floats, Ints

_AT_ONCE = 128  # one in so many of those left goes at a time: found to choose as well as one by one


@dataclass
class Problem:
    """A layer that reads the units.

    Args:
        inverse: (H + ridge)^-1 [features, features], float64.
        matrix: [features, outputs], float64.
        units: Unit of each feature, -1 for those that stay.
        importance: What its squared error counts beside that of other layers.
    """

    inverse: Tensor
    matrix: Tensor
    units: Ints
    importance: float = 1.0

    def costs(self, size: int) -> Tensor:
        """What each unit adds to the error if it goes next; 0 for units that are gone."""
        result = torch.zeros(size, dtype=torch.float64)
        for units, places in _by_width(self.units):
            blocks = self.inverse[places[:, :, None], places[:, None, :]]
            rows = self.matrix[places]
            result[units] = (rows * torch.linalg.solve(blocks, rows)).sum((1, 2))
        return self.importance * result

    def remove(self, units: Ints) -> None:
        """Drop the features of some units and refit the others."""
        gone = torch.from_numpy(np.isin(self.units, units))
        if not gone.any():
            return
        across = self.inverse[~gone][:, gone]
        step = torch.linalg.solve(self.inverse[gone][:, gone], across, left=False)
        self.matrix = self.matrix[~gone] - step @ self.matrix[gone]
        self.inverse = self.inverse[~gone][:, ~gone] - step @ across.T
        self.units = self.units[~gone.numpy()]


def removal_errors(problems: Sequence[Problem], size: int) -> Floats:
    """For each of `size` units the error once it and all that are better removed are gone.

    Changes the problems. The last unit that is left gets the largest number.
    """
    errors, total = np.zeros(size), 0.0
    left = np.arange(size)
    while len(left) > 1:
        costs = sum((problem.costs(size) for problem in problems), torch.zeros(size)).numpy()
        count = max(1, len(left) // _AT_ONCE)
        order = left[np.argsort(costs[left], kind="stable")][:count]
        for unit in order:
            total += max(costs[unit], 0.0)
            errors[unit] = total
        for problem in problems:
            problem.remove(order)
        left = np.setdiff1d(left, order)
    errors[left] = 2 * total + 1e-30
    return errors


def _by_width(units: Ints) -> list[tuple[Tensor, Tensor]]:
    """Units with as many features: (units [n], places of their features [n, width])."""
    order = np.argsort(units, kind="stable")
    order = order[units[order] >= 0]
    found, starts, widths = np.unique(units[order], return_index=True, return_counts=True)
    groups = []
    for width in np.unique(widths):
        mine = widths == width
        places = order[starts[mine][:, None] + np.arange(width)]
        groups.append((torch.from_numpy(found[mine]), torch.from_numpy(places)))
    return groups
