"""Prunes random units, and compares with the same program whose weights are 0 there."""

from dataclasses import dataclass

import numpy as np
import torch

from penjing.compiler.coupling import Coupling, Group, analyze, shrink, zero_out
from penjing.compiler.coupling.atoms import Mask
from penjing.compiler.coupling.flow import Attention
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.ir.verify import verify
from tests.zoo import Inputs

TOLERANCE = 1e-4  # largest difference, relative to the largest element of the output


@dataclass(frozen=True)
class Pruned:
    """A program pruned at random.

    Args:
        program: With fewer units.
        masked: The original with the weights of the dropped units set to 0.
        original: As it was.
        coupling: What was found in a program like `original`.
        keep: Which units are left.
    """

    program: Program
    masked: Program
    original: Program
    coupling: Coupling
    keep: dict[Group, Mask]


def prune_randomly(
    original: Program,
    ratio: float,
    *,
    seed: int = 0,
    through_norms: bool = False,
    attention: Attention = "heads",
    only: str | None = None,
) -> Pruned:
    """Drop that part of the units of every group, or of one; at least one and not all of them."""
    program = original.copy()
    coupling = analyze(program, through_norms=through_norms, attention=attention)
    generator = np.random.default_rng(seed)
    keep = {}
    for group in coupling.groups:
        if only not in (None, group.name):
            continue
        left = min(max(1, round(group.size * (1 - ratio))), group.size - 1)
        keep[group] = generator.permutation(group.size) < left
    masked = zero_out(program, coupling, {group: ~mask for group, mask in keep.items()})
    shrink(program, coupling, keep)
    return Pruned(program, masked, original, coupling, keep)


def traced(model: torch.nn.Module, inputs: Inputs) -> tuple[Program, list[torch.Tensor]]:
    """The program of a model, and its inputs in the program's order."""
    program = trace(model, inputs)
    args, kwargs = ((), inputs) if isinstance(inputs, dict) else (tuple(inputs), {})
    return program, program.flatten_inputs(args, kwargs)


def assert_pruned_like_masked(
    pruned: Pruned, inputs: list[torch.Tensor], *, effect: float = 1e-3
) -> None:
    """Both give the same, which is not what the original gives; every group is smaller."""
    verify(pruned.program)
    results, expected = (run(program, inputs) for program in (pruned.program, pruned.masked))
    assert distance(results, expected) <= TOLERANCE
    for group, mask in pruned.keep.items():
        assert 0 < mask.sum() < group.size, group.name
        assert_members_shrank(pruned, group)
    if pruned.keep:
        assert distance(results, run(pruned.original, inputs)) > effect, "nothing depends on them"


def assert_members_shrank(pruned: Pruned, group: Group) -> None:
    """Each dimension of each weight has lost exactly the positions of the dropped units."""
    before, after = pruned.original.weights, pruned.program.weights
    for member in group.members:
        parts = [
            (each.units, pruned.keep[other])
            for other in pruned.keep
            for each in other.members
            if (each.weight, each.dim) == (member.weight, member.dim)
        ]
        gone = sum(int((~mask)[units[units >= 0]].sum()) for units, mask in parts)
        size = before[member.weight].shape[member.dim]
        assert after[member.weight].shape[member.dim] == size - gone, member


def summary(coupling: Coupling) -> list[str]:
    """The groups in short."""
    return [f"{group.name}: {group.size} {group.kind}" for group in coupling.groups]


def reasons(coupling: Coupling) -> dict[str, str]:
    """Why what each module gives is locked."""
    return {locked.name: locked.reason for locked in coupling.locked}


def run(program: Program, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    """The outputs of a program, without gradients."""
    with torch.no_grad():
        return program.run_flat(*inputs)


def distance(results: list[torch.Tensor], expected: list[torch.Tensor]) -> float:
    """The largest difference, relative to the largest element of each output."""
    distances = []
    for result, wanted in zip(results, expected, strict=True):
        assert result.shape == wanted.shape
        assert wanted.isfinite().all()
        difference = (result.double() - wanted.double()).abs().max()
        distances.append(float(difference / wanted.double().abs().max()))
    return max(distances)
