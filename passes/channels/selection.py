"""Which groups may be pruned, and how far."""

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from math import ceil, floor, gcd

import numpy as np

from ...compiler.coupling import Group
from ...compiler.errors import CompileError
from ...compiler.ir.program import Program, origin_of
from ...targets.target import Target


def check_patterns(program: Program, option: str, patterns: Sequence[str]) -> None:
    """Refuse patterns that name no module of the program."""
    paths = {origin_of(node).module_path for node in program.graph.nodes}
    for pattern in patterns:
        if not any(_matches(path, pattern) for path in paths):
            raise CompileError(
                f"{option} names no module of the program",
                got=f"{option}={pattern!r}",
                fix="use names of model.named_modules() such as 'layer1.0', or patterns with *",
            )


def select_groups(
    groups: Iterable[Group], kinds: Sequence[str], only: Sequence[str], protect: Sequence[str]
) -> list[Group]:
    """The groups of some kinds made by `only`, if not empty, and in no part by `protect`."""

    def is_selected(group: Group) -> bool:
        paths = _makers(group)
        if any(_matches(path, pattern) for path in paths for pattern in protect):
            return False
        return not only or all(any(_matches(path, each) for each in only) for path in paths)

    return [group for group in groups if group.kind in kinds and is_selected(group)]


def fewest_kept(size: int, least_kept: float, max_ratio: float) -> int:
    """Fewest units of `size` that a group keeps; always one or more."""
    return max(1, ceil(least_kept * size - 1e-9), size - floor(max_ratio * size + 1e-9))


def step_of(group: Group, round_to: int | None, target: Target | None) -> int:
    """Units that make the group's widths multiples of `round_to`, or of the target's vectors.

    Kernels compute whole vectors of channels (benchmarks/staircase.py).
    """
    if round_to is None:
        round_to = 1 if target is None else target.lanes(32)
    return round_to // gcd(round_to, _positions(group))


def is_off_edge(group: Group, before: int, target: Target | None) -> bool:
    """Whether the group's width fills no whole vectors of the target, and its width before did."""
    if target is None:
        return False
    lanes, positions = target.lanes(32), _positions(group)
    return group.size * positions % lanes != 0 and before * positions % lanes == 0


def _positions(group: Group) -> int:
    """How many neighbors in the first layer's result one unit is."""
    member = next((m for m in group.members if m.role == "out"), group.members[0])
    return int(np.count_nonzero(member.units == 0))


def _makers(group: Group) -> list[str]:
    """Module paths of what makes the units."""
    return [
        origin_of(member.call).module_path or member.weight.rpartition(".")[0]
        for member in group.members
        if member.role == "out"
    ]


def _matches(path: str, pattern: str) -> bool:
    """Whether a module, or one that it is inside of, has a name like the pattern."""
    return fnmatchcase(path, pattern) or fnmatchcase(path, f"{pattern}.*")
