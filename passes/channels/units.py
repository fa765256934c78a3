"""Sums over the positions that belong to each unit of a group."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ...compiler.coupling import Group, Member

Floats: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Keep: TypeAlias = NDArray[np.bool_]


def sum_by_unit(member: Member, size: int, values: Tensor) -> Floats:
    """Sum `values` [positions of the member's dimension] over those of each of `size` units."""
    mine = member.units >= 0
    numbers = values.detach().double().cpu().numpy()
    sums = np.bincount(member.units[mine], weights=numbers[mine], minlength=size)
    return sums.astype(np.float64)


def others_summed(member: Member, values: Tensor) -> Tensor:
    """Sum an array like the member's weight over all dimensions but its own."""
    return values.movedim(member.dim, 0).reshape(values.shape[member.dim], -1).sum(1)


def makers(group: Group) -> list[Member]:
    """The weights that produce the units; every group has some."""
    return [member for member in group.members if member.role == "out"]


def makers_and_readers(group: Group) -> list[Member]:
    """The weights that produce or read the units."""
    return [member for member in group.members if member.role in ("out", "in")]
