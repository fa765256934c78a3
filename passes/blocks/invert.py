"""What a norm or an activation must read to give a wanted result, changed as little as possible."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.ir.op_kinds import Kind, kind_of
from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of

_ATEN = torch.ops.aten
_LEAST_SCALE = 0.05  # of the median: channels that a norm scales by less than this stay as they are


def can_invert(tail: Sequence[Node]) -> bool:
    """Whether `inverted` knows every step."""
    return all(
        step.target in (_ATEN.relu.default, _ATEN.permute.default)
        or kind_of(step) is Kind.VIEW
        or _is_row_norm(step)
        for step in tail
    )


def inverted(
    program: Program, tail: Sequence[Node], reads: Mapping[Node, Tensor], goal: Tensor
) -> Tensor:
    """What the first step of `tail` must read for the last one to give `goal`.

    Args:
        program: Holds the weights.
        tail: Steps that `can_invert` accepts, each reads the one before.
        reads: What each step reads now.
        goal: The wanted result of the last step; what cannot be reached is approached.
    """
    for step in reversed(tail):
        now = reads[step]
        if step.target is _ATEN.layer_norm.default:
            goal = _before_norm(program, step, now, goal)
        elif step.target is _ATEN.relu.default:
            goal = torch.where(goal > 0, goal, now.clamp_max(0))
        elif step.target is _ATEN.permute.default:
            order = arguments_of(step)["dims"]
            goal = goal.permute(sorted(range(len(order)), key=order.__getitem__))
        else:
            goal = goal.reshape(now.shape)
    return goal


def _is_row_norm(step: Node) -> bool:
    is_norm = step.target is _ATEN.layer_norm.default
    return is_norm and len(arguments_of(step)["normalized_shape"]) == 1


def _before_norm(program: Program, norm: Node, now: Tensor, goal: Tensor) -> Tensor:
    """With the mean and deviation of what is read now: they hardly change the result (eps)."""
    arguments = {"weight": None, "bias": None, **arguments_of(norm)}
    deviation, mean = torch.std_mean(now, -1, correction=0, keepdim=True)
    normed = (now - mean) / deviation.clamp_min(1e-12)
    wanted = goal
    if isinstance(arguments["bias"], Node):
        wanted = wanted - program.weight(arguments["bias"]).detach()
    if isinstance(arguments["weight"], Node):
        scale = program.weight(arguments["weight"]).detach()
        is_tiny = scale.abs() < _LEAST_SCALE * scale.abs().median()
        wanted = torch.where(is_tiny, normed, wanted / torch.where(is_tiny, 1.0, scale))
    spread, center = torch.std_mean(wanted, -1, correction=0, keepdim=True)
    return (wanted - center) / spread.clamp_min(1e-12) * deviation + mean
