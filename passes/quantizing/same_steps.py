"""Finds the steps again that weights are whole numbers of, after some of them were cut away."""

import torch
from torch import Tensor

from .group_rounding import GroupedWeight, round_groups

_NEAR = 1e-3  # steps from an integer that float32 makes of one
_FEW = 8  # weights of a row that are looked at first


def same_steps(rows: Tensor, old: Tensor, new: Tensor, largest: int) -> Tensor:
    """The old steps of each row that is made of them, the new ones of others.

    Args:
        rows: Weights [R, I], in the order that they had.
        old: Steps [O, groups] of the rows there were, of as many equal groups of columns each.
        new: Steps [R, groups].
        largest: Of the integers.
    """
    found, first = new.clone(), 0
    if old.shape[1] != new.shape[1]:
        return found
    for place, row in enumerate(rows.unflatten(1, (old.shape[1], -1))):
        flat = row.flatten()
        few = flat.abs().argsort(descending=True)[:_FEW]
        likely = _are_integers(flat[few] / old[first:, few // row.shape[1]].float(), largest)
        for index in (first + likely.all(1).nonzero().flatten()).tolist():
            if bool(_are_integers(row / old[index, :, None].float(), largest).all()):
                found[place], first = old[index], index + 1
                break
    return found


def same_groups(matrix: Tensor, old: Tensor, bits: int, group: int) -> GroupedWeight:
    """A matrix [R, I] in groups of columns, with its old steps [O, groups] where they still fit."""
    fresh = round_groups(matrix, bits, group, None)
    dtype = torch.promote_types(fresh.scales.dtype, old.dtype)
    scales = same_steps(matrix, old.to(dtype), fresh.scales.to(dtype), 2 ** (bits - 1))
    parts = matrix.unflatten(1, (scales.shape[1], -1)) / scales.float().unsqueeze(2)
    largest = 2 ** (bits - 1)
    integers = parts.round().clamp(-largest, largest - 1).to(torch.int8)
    return GroupedWeight(integers.flatten(1), scales)


def _are_integers(values: Tensor, largest: int) -> Tensor:
    within = values.abs() < largest + _NEAR
    return ((values - values.round()).abs() < _NEAR) & within
