"""How much is to be pruned, as an absolute cost that can be reached in several steps."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ...compiler.coupling import Coupling, Group
from ...compiler.errors import CompileError
from ...compiler.ir.program import Program
from ...compiler.macs import macs
from ...targets.target import Target
from .allocation import Limits, Scope, allocate_cost, allocate_ratio
from .instructions import instructions
from .widths import CostModel, Widths

Measure = Literal["ratio", "macs", "bytes", "instructions"]
_TOO_FAR = 0.01  # of the goal: what even the smallest widths may miss it by


@dataclass(frozen=True)
class Goal:
    """What to prune to.

    Args:
        measure: What is counted; "ratio" counts units.
        kept: The fraction of it that is to stay.
        initial: Its value before pruning; of "ratio", 1.
        target: What instructions are estimated for.
        scope: See `allocation`.
    """

    measure: Measure
    kept: float
    initial: float
    target: Target | None
    scope: Scope

    def counts(
        self,
        program: Program,
        coupling: Coupling,
        limits: Mapping[Group, Limits],
        step: int,
        steps: int,
    ) -> dict[Group, int]:
        """How many units each group keeps after step 1, 2, ... of `steps`.

        Raises:
            CompileError: Even the smallest widths that are allowed cost more.
        """
        kept = 1 - (1 - self.kept) * step / steps
        if self.measure == "ratio":
            before = 1 - (1 - self.kept) * (step - 1) / steps
            return allocate_ratio(limits, 1 - kept / before, self.scope)  # of what is left now
        model = CostModel(program, coupling, self.target)

        def cost(widths: Widths) -> float:
            return model.cost(self.measure, widths)

        goal = kept * self.initial
        least = cost({group: each.keep(each.smallest) for group, each in limits.items()})
        if least > (1 + _TOO_FAR) * goal:
            raise CompileError(
                f"{self.measure}={self.kept:g} cannot be reached",
                got=f"{least / self.initial:.3f} where every group keeps as little as it may",
                fix="lower least_kept, protect less, or prune more kinds; "
                "penjing inspect --groups lists what is locked",
            )
        return allocate_cost(limits, cost, goal, self.scope)


def measured(program: Program, measure: Measure, target: Target | None) -> float:
    """What a program costs; of "ratio", 1."""
    nodes = program.graph.nodes
    if measure == "macs":
        return sum(map(macs, nodes))
    if measure == "bytes":
        return sum(tensor.nbytes for tensor in program.weights.values())
    if measure == "instructions":
        assert target is not None
        return sum(instructions(node, target) for node in nodes)
    return 1.0
