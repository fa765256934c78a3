"""Regularizers that make weights easy to prune: single ones, or whole units of coupling groups."""

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..coupling import Group
from ..ir.program import Program
from .callbacks import Callback, Regularizer
from .state import Training


class ShrinkWeights(Regularizer):
    """L1 norm (Tibshirani 1996): strength * the sum of the magnitudes of the weights.

    Args:
        strength: Of the term.
        names: The weights; a vector of scales of batch norms makes channels sparse (Liu et al.
            2017).
    """

    def __init__(self, strength: float, names: Collection[str]) -> None:
        self.strength, self.names = strength, list(names)

    def penalty(self, training: Training) -> Tensor:
        weights = training.program.weights
        return self.strength * torch.stack([weights[name].abs().sum() for name in self.names]).sum()


class ShrinkUnits(Regularizer):
    """Group lasso (Yuan and Lin 2006) over the units of coupling groups.

    The term is strength * the sum over units of sqrt(n) * |w|, where w are the n weights that
    vanish with the unit: what produces it, scales it and reads it.

    Args:
        strength: Of the term.
        groups: Of `analyze` on the program, or on one with weights of the same names.
    """

    def __init__(self, strength: float, groups: Sequence[Group]) -> None:
        self.strength, self.groups = strength, groups

    def penalty(self, training: Training) -> Tensor:
        weights = training.program.weights
        terms = []
        for group in self.groups:
            squares, counts = unit_squares(group, weights)
            used = counts > 0
            # Zero has no gradient of its norm; the small number is far below any weight.
            norms = (squares[used] + 1e-16).sqrt()
            terms.append((counts[used].sqrt() * norms).sum())
        return self.strength * torch.stack(terms).sum()


class FadeUnits(Callback):
    """Growing regularization (Wang et al. 2021, GReg-1): chosen units fade while training goes on.

    The penalty of the units with the smallest weights grows with every update, so that the others
    take over bit by bit. It works on the weights and not through the loss, as the weight decay of
    AdamW does (an optimizer that scales gradients would undo its growth): update number t of T
    multiplies them by exp(-2 * strength * t / T^2), all of them together by exp(-strength). What
    is left after the last one is set to zero.

    Args:
        strength: Natural logarithm of how small the units become, if training does not resist.
        groups: Of `analyze` on the program.
        ratio: Part of the units of each group to choose; one at least stays.
    """

    def __init__(self, strength: float, groups: Sequence[Group], ratio: float) -> None:
        self.strength, self.groups, self.ratio = strength, groups, ratio
        self.chosen: dict[str, Tensor] = {}

    def on_start(self, training: Training) -> None:
        if not self.chosen:
            for group in self.groups:
                self.chosen[group.name] = _smallest(group, training.program, self.ratio)

    def on_step(self, training: Training) -> None:
        self._scale(training, math.exp(-2 * self.strength * training.step / training.steps**2))

    def on_end(self, training: Training) -> None:
        self._scale(training, 0.0)

    def _scale(self, training: Training, keep: float) -> None:
        weights = training.program.weights
        for group in self.groups:
            chosen = self.chosen[group.name]
            factors = torch.ones(group.size).masked_fill(chosen, keep)
            for name, scale in _scales(group, factors, weights).items():
                with torch.no_grad():
                    weights[name].mul_(scale.to(weights[name].device))

    def state(self) -> dict[str, Any]:
        return dict(self.chosen)

    def restore(self, state: dict[str, Any]) -> None:
        self.chosen = state


def unit_squares(group: Group, weights: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """For each unit of a group the sum of the squares of its weights, and their number; [size].

    A weight that holds units on two dimensions counts for each.
    """
    first = weights[group.members[0].weight]
    squares = torch.zeros(group.size, device=first.device)
    counts = torch.zeros(group.size, device=first.device)
    for member in group.members:
        weight = weights[member.weight]
        if not isinstance(weight, nn.Parameter):
            continue  # statistics vanish with the unit but have no say
        units = torch.from_numpy(member.units).to(weight.device)
        rows = weight.movedim(member.dim, 0).reshape(len(units), -1)[units >= 0]
        squares = squares.index_add(0, units[units >= 0], rows.float().square().sum(1))
        counts = counts.index_add(0, units[units >= 0], torch.full_like(rows[:, 0], rows.shape[1]))
    return squares, counts


def _smallest(group: Group, program: Program, ratio: float) -> Tensor:
    """Whether each unit is among the part of them with the smallest mean square."""
    with torch.no_grad():
        squares, counts = unit_squares(group, program.weights)
    count = min(round(ratio * group.size), group.size - 1)
    chosen = torch.zeros(group.size, dtype=torch.bool)
    chosen[(squares / counts.clamp_min(1)).cpu().argsort(stable=True)[:count]] = True
    return chosen


def _scales(group: Group, factors: Tensor, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What to multiply weights by, that each unit's weights are multiplied by its factor once."""
    scales: dict[str, Tensor] = {}
    for member in group.members:
        weight = weights[member.weight]
        if not isinstance(weight, nn.Parameter):
            continue
        units = torch.from_numpy(member.units)
        scale = torch.where(units < 0, 1.0, factors[units.clamp_min(0)])
        shape = [1] * weight.dim()
        shape[member.dim] = -1
        known = scales.get(member.weight, torch.ones(1))
        scales[member.weight] = torch.minimum(known, scale.view(shape))
    return scales
