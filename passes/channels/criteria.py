"""How much a unit of a group matters: one score per unit, low ones go first.

A criterion gets a `Scoring` (the program, and what calibration data says) and a group, and gives an
array [units]. It is None where the criterion says nothing about a group, which is then left alone.
"""

import zlib
from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from torch.fx import Node

from ...compiler.coupling import Group, Member
from ...compiler.errors import CompileError
from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of
from .readers import readers_of
from .scoring import Scoring
from .units import Floats, makers, makers_and_readers, others_summed, sum_by_unit

Criterion: TypeAlias = Callable[[Scoring, Group], Floats | None]
UserCriterion: TypeAlias = Callable[[Program, Group], object]

CRITERIA: dict[str, Criterion] = {}
CALIBRATED = ("activation", "taylor", "obd", "reconstruction")  # those that need calibration data
COMPARABLE = ("lamp", "reconstruction")  # those that compare between groups as they are
_NORMS = (
    torch.ops.aten.batch_norm.default,
    torch.ops.aten.layer_norm.default,
    torch.ops.aten.group_norm.default,
    torch.ops.aten.instance_norm.default,
    torch.ops.aten.rms_norm.default,
)


def criterion(name: str) -> Callable[[Criterion], Criterion]:
    """Register a criterion under a name; a second one of that name is an error."""

    def add(function: Criterion) -> Criterion:
        if CRITERIA.setdefault(name, function) is not function:
            raise ValueError(f"two criteria named {name}")
        return function

    return add


def score(chosen: str | UserCriterion, scoring: Scoring, group: Group) -> Floats | None:
    """Scores [units] >= 0 by which groups can be compared: in each, the mean is 1.

    Scores of `COMPARABLE` criteria and of the user's own stay as they are.

    Raises:
        CompileError: The user's criterion gives something else than one finite number per unit.
    """
    if callable(chosen):
        return _checked(chosen, scoring.program, group)
    scores = CRITERIA[chosen](scoring, group)
    if scores is None or chosen in COMPARABLE:
        return scores
    mean = scores.mean()
    return scores / mean if mean > 0 else scores


@criterion("l1")
def _l1(scoring: Scoring, group: Group) -> Floats:
    """Sum over members of sum |w|, each member's divided by its mean (Li et al. 2017)."""
    return _over_members(scoring, group, torch.abs)


@criterion("l2")
def _l2(scoring: Scoring, group: Group) -> Floats:
    """Sum over members of sum w^2, each member's divided by its mean (Fang et al. 2023)."""
    return _over_members(scoring, group, torch.square)


@criterion("group-l2")
def _group_l2(scoring: Scoring, group: Group) -> Floats:
    """Sum of w^2 over all members and the scales of their norms: large ones count for more.

    In many steps (`steps=24`) this keeps residual streams wide and narrows what lies between them,
    as Torch-Pruning's group norm does (Fang et al. 2023).
    """
    total = np.zeros(group.size)
    for member in makers_and_readers(group):
        norms = others_summed(member, scoring.weight(member).square())
        total += sum_by_unit(member, group.size, norms)
    for member in filter(_is_scale_of_norm, group.members):
        total += sum_by_unit(member, group.size, scoring.weight(member).square())
    return total


@criterion("lamp")
def _lamp(scoring: Scoring, group: Group) -> Floats:
    """l2 of a unit by that of all that are no smaller (Lee et al. 2021): the largest has 1."""
    squares = _over_members(scoring, group, torch.square)
    order = np.argsort(-squares, kind="stable")
    result = np.empty_like(squares)
    result[order] = squares[order] / np.maximum(np.cumsum(squares[order]), 1e-30)
    return result


@criterion("fpgm")
def _fpgm(scoring: Scoring, group: Group) -> Floats:
    """Sum of the distances to all other units' weights in what makes the units (He et al. 2019)."""
    total = np.zeros(group.size)
    for member in makers(group):
        rows = _rows(scoring, member)
        distances = torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").sum(1)
        total += sum_by_unit(member, group.size, distances)
    return total


@criterion("bn-scale")
def _bn_scale(scoring: Scoring, group: Group) -> Floats | None:
    """Sum of |scale| of the norms in the group (Liu et al. 2017); None if there is no norm."""
    members = [member for member in group.members if _is_scale_of_norm(member)]
    if not members:
        return None
    total = np.zeros(group.size)
    for member in members:
        total += sum_by_unit(member, group.size, scoring.weight(member).abs())
    return total


@criterion("random")
def _random(scoring: Scoring, group: Group) -> Floats:
    """Uniform in (0, 1], the same for one seed and name of a group."""
    generator = np.random.default_rng([scoring.seed, zlib.crc32(group.name.encode())])
    return 1 - generator.random(group.size)


@criterion("activation")
def _activation(scoring: Scoring, group: Group) -> Floats | None:
    """Mean x_u^2 on calibration data times the squared norm of the weights that read x_u."""
    readers = readers_of(group)
    if not readers:
        return None
    total = np.zeros(group.size)
    for member, reader in readers:
        weights = others_summed(member, scoring.weight(member).square())
        total += sum_by_unit(member, group.size, weights * scoring.energy(reader))
    return total


@criterion("taylor")
def _taylor(scoring: Scoring, group: Group) -> Floats:
    """Mean over batches of (sum of w dL/dw over a unit)^2, over what makes it (Molchanov 2019)."""
    return scoring.first_order(makers(group), group.size)


@criterion("obd")
def _obd(scoring: Scoring, group: Group) -> Floats:
    """Half the sum of w^2 (dL/dw)^2, the mean over batches, over all members (LeCun et al. 1990).

    The squared gradient stands for the diagonal of the Hessian (Theis et al. 2018).
    """
    total = np.zeros(group.size)
    for member in makers_and_readers(group):
        loss = scoring.weight(member).square() * scoring.fisher(member) / 2
        total += sum_by_unit(member, group.size, others_summed(member, loss))
    return total


@criterion("reconstruction")
def _reconstruction(scoring: Scoring, group: Group) -> Floats | None:
    """The relative error of the group's readers, refitted, once this unit and all cheaper go."""
    return scoring.reconstruction(group)


def _over_members(
    scoring: Scoring, group: Group, measure: Callable[[torch.Tensor], torch.Tensor]
) -> Floats:
    total = np.zeros(group.size)
    for member in makers_and_readers(group):
        norms = others_summed(member, measure(scoring.weight(member)))
        sums = sum_by_unit(member, group.size, norms)
        total += sums / max(sums.mean(), 1e-30)
    return total


def _rows(scoring: Scoring, member: Member) -> torch.Tensor:
    weight = scoring.weight(member)
    return weight.movedim(member.dim, 0).reshape(weight.shape[member.dim], -1)


def _is_scale_of_norm(member: Member) -> bool:
    node: Node = member.call
    if node.target not in _NORMS:
        return False
    weight = arguments_of(node)["weight"]
    return isinstance(weight, Node) and weight.target == member.weight


def _checked(chosen: UserCriterion, program: Program, group: Group) -> Floats:
    scores = np.asarray(torch.as_tensor(chosen(program, group)).detach(), dtype=np.float64)
    if scores.shape != (group.size,) or not np.isfinite(scores).all():
        raise CompileError(
            "a criterion must give one finite number for each unit of a group",
            at=group.name,
            got=f"shape {scores.shape} for {group.size} units",
            fix="return a tensor or array of shape [group.size]",
        )
    return scores
