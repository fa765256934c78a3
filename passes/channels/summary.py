"""What pruning did, as plain data for the report."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from ...compiler.coupling import Coupling, Group
from ...compiler.ir.program import Program
from ...targets.target import Target
from .goals import Goal, measured
from .selection import is_off_edge


@dataclass
class Summary:
    """Notes of the groups as they were first, to compare with those that are left.

    Args:
        program: Before pruning.
        target: What is known of the device.
    """

    program: Program
    target: Target | None
    sizes: dict[str, int] = field(default_factory=dict)
    kept: dict[str, int] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)
    chosen: list[str] = field(default_factory=list)
    refitted: int = 0

    def __post_init__(self) -> None:
        self._estimate = self._estimated(self.program)

    def note(self, coupling: Coupling, chosen: Collection[Group]) -> None:
        """Remember the groups of the program before pruning, and which of them may be pruned."""
        self.chosen = [group.name for group in chosen]
        for group in coupling.groups:
            self.sizes[group.name] = self.kept[group.name] = group.size
            self.kinds[group.name] = group.kind

    def details(
        self, program: Program, after: Coupling, goal: Goal, reached: float
    ) -> dict[str, Any]:
        """For each group what is left, what was aimed at, what is locked, what is no gain."""
        details: dict[str, Any] = {
            "groups": {
                name: {"kind": self.kinds[name], "kept": self.kept[name], "of": size}
                for name, size in self.sizes.items()
            },
            "refitted_layers": self.refitted,
            "locked": [
                {"name": each.name, "size": each.size, "reason": each.reason, "at": each.at}
                for each in after.locked
            ],
            "notes": self._notes(program, after),
        }
        if goal.measure == "ratio":
            total = sum(self.sizes[name] for name in self.chosen)
            kept = sum(self.kept[name] for name in self.chosen)
            reached = kept / total if total else 1.0
        return details | {"goal": {"of": goal.measure, "keep": goal.kept, "kept": reached}}

    def _notes(self, program: Program, after: Coupling) -> list[str]:
        notes = []
        for group in after.groups:
            size = self.sizes.get(group.name, 0)
            if group.size < size and is_off_edge(group, size, self.target):
                notes.append(
                    f"{group.name} keeps {group.size} of {size}: part of a vector"
                    " stays unused; leave round_to to the target"
                )
        estimate = self._estimated(program)
        if self.target is not None and estimate > self._estimate:
            share = estimate / self._estimate - 1
            notes.append(f"the result is estimated to execute {share:.1%} more instructions")
        return notes

    def _estimated(self, program: Program) -> float:
        if self.target is None:
            return 0.0
        return measured(program, "instructions", self.target)
