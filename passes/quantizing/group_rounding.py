"""Rounds weights to integers with a step for each group of inputs."""

from dataclasses import dataclass

import torch
from torch import Tensor

_SHRINKING = (1.0, 0.95, 0.9, 0.85, 0.8)  # of the largest weight, that steps are tried with
_ROWS = 32  # of a matrix whose steps are fitted at once
_BLOCK = 128  # columns whose effect on later ones is applied at once


LEAST_GROUP = 8  # fewer neighbors take more bits for steps than for themselves


@dataclass(frozen=True)
class GroupedWeight:
    """A matrix as integers, int8 [O, I], and scales, float16 or float32 [O, groups]."""

    integers: Tensor
    scales: Tensor

    def reals(self) -> Tensor:
        """What they stand for, float32 [O, I]."""
        parts = self.integers.float().unflatten(1, (self.scales.shape[1], -1))
        reals: Tensor = (parts * self.scales.float().unsqueeze(2)).flatten(1)
        return reals


def group_size(features: int, most: int) -> int:
    """The largest even number of neighbors up to `most` that divides `features`; 0 if below 8."""
    fitting = (size for size in range(LEAST_GROUP, most + 1, 2) if features % size == 0)
    return max(fitting, default=0)


def round_groups(
    weight: Tensor, bits: int, group: int, second_moments: Tensor | None
) -> GroupedWeight:
    """A weight to the nearest integers or, where inputs are known, by GPTQ.

    Args:
        weight: float32 [O, I].
        bits: Integers are in [-2^(bits - 1), 2^(bits - 1) - 1].
        group: Inputs that share a step; divides I.
        second_moments: [I, I], sum of x x^T over the rows that the layer reads.
    """
    parts = weight.unflatten(1, (-1, group))
    if second_moments is None:
        scales = _stored(_scales(parts, torch.ones(parts.shape[1:]), bits))
        integers = _nearest(parts, scales.float().unsqueeze(2), bits).flatten(1)
        return GroupedWeight(integers.to(torch.int8), scales)
    moments = damped(second_moments)
    # What an error of a weight costs once all others have made up for it.
    importance = 1 / torch.linalg.inv(moments).diagonal()
    scales = _stored(_scales(parts, importance.float().view(-1, group), bits))
    integers = round_in_order(weight, scales, moments, bits)
    return GroupedWeight(integers, _stored(_fitted(weight, integers, moments, group)))


def round_in_order(
    weight: Tensor, scales: Tensor, second_moments: Tensor, bits: int, *, is_even: bool = False
) -> Tensor:
    """Column after column is rounded, and those that are left make up for the error: GPTQ.

    Frantar et al. 2023, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
    Transformers". Columns that read the largest inputs come first.

    Args:
        weight: float32 [O, I].
        scales: [O, groups] steps of as many equal groups of columns.
        second_moments: [I, I], sum of x x^T over the rows that the layer reads, positive definite.
        bits: Integers are in [-2^(bits - 1), 2^(bits - 1) - 1].
        is_even: Without the least of them: as many are negative as positive.

    Returns:
        Integers, int8 [O, I].
    """
    order = second_moments.diagonal().argsort(descending=True)
    upper = _inverse_factor(second_moments[order][:, order])
    steps = scales.double().repeat_interleave(weight.shape[1] // scales.shape[1], 1)[:, order]
    left, integers = weight.double()[:, order], torch.zeros_like(steps)
    least = int(is_even) - 2 ** (bits - 1)
    for start in range(0, weight.shape[1], _BLOCK):
        inside, own = left[:, start : start + _BLOCK], upper[start:, start:]
        errors = torch.zeros_like(inside)
        for place in range(inside.shape[1]):
            step = steps[:, start + place]
            chosen = _nearest(inside[:, place], step, bits).clamp(min=least)
            errors[:, place] = (inside[:, place] - chosen * step) / own[place, place]
            integers[:, start + place] = chosen
            later = own[place, place : inside.shape[1]]
            inside[:, place:] -= errors[:, place, None] * later
        count = inside.shape[1]
        left[:, start + count :] -= errors @ own[:count, count:]
    return integers[:, order.argsort()].to(torch.int8)


def _scales(parts: Tensor, importance: Tensor, bits: int) -> Tensor:
    """The steps with the least squared error, [O, groups], of weights [O, groups, group].

    The largest magnitude may become -2^(bits - 1), whatever its sign: a step may be negative.

    Args:
        parts: The weights.
        importance: [groups, group], what the squared error of each column counts.
        bits: Of an integer.
    """
    least_integer = -(2 ** (bits - 1))
    largest = parts.gather(-1, parts.abs().argmax(-1, keepdim=True)).squeeze(-1)
    largest = torch.where(largest == 0, 1.0, largest)
    best, least = largest, torch.full(largest.shape, torch.inf)
    for end in (least_integer, -1 - least_integer):
        for share in _SHRINKING:
            scales = _stored(largest * share / end).float()
            rounded = _nearest(parts, scales.unsqueeze(-1), bits) * scales.unsqueeze(-1)
            error = ((rounded - parts).square() * importance).sum(-1)
            best = torch.where(error < least, scales, best)
            least = torch.minimum(error, least)
    return best


def _stored(scales: Tensor) -> Tensor:
    """Steps as float16; as float32 where one of them is too large or too small for that."""
    sizes = scales.abs()
    info = torch.finfo(torch.float16)
    fits = bool(((sizes >= info.tiny) & (sizes <= info.max)).all())
    return scales.to(torch.float16 if fits else torch.float32)


def _nearest(weight: Tensor, steps: Tensor, bits: int) -> Tensor:
    largest = 2 ** (bits - 1)
    return torch.round(weight / steps).clamp(-largest, largest - 1)


def _fitted(weight: Tensor, integers: Tensor, moments: Tensor, group: int) -> Tensor:
    """The steps, [O, groups], with which integers are nearest in what the layer computes."""
    groups = weight.shape[1] // group
    blocks = moments.unflatten(1, (groups, group))
    wanted = weight.double() @ moments
    scales = []
    for values, products in zip(integers.double().split(_ROWS), wanted.split(_ROWS), strict=True):
        parts = values.unflatten(1, (groups, group))
        half = torch.einsum("ibg,obg->oib", blocks, parts).unflatten(1, (groups, group))
        normal = (half * parts.unsqueeze(3)).sum(2)
        diagonal = normal.diagonal(dim1=1, dim2=2)
        diagonal += 1e-4 * diagonal.mean(1, keepdim=True) + 1e-30
        right = (products * values).unflatten(1, (groups, group)).sum(2)
        scales.append(torch.linalg.solve(normal, right))
    return torch.cat(scales).float()


def damped(second_moments: Tensor) -> Tensor:
    """Moments with 1 % of their mean diagonal added to it, float64."""
    moments = second_moments.double().clone()
    mean = moments.diagonal().mean()
    moments.diagonal().add_(0.01 * mean if mean > 0 else 1.0)
    return moments


def _inverse_factor(moments: Tensor) -> Tensor:
    """Upper U with U^T U the inverse of positive definite moments."""
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(moments))
    upper: Tensor = torch.linalg.cholesky(inverse, upper=True)
    return upper
