"""What criteria look at: weights, and what calibration data says about them, computed once."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.batched_run import run_batched
from ...compiler.batches import Batch
from ...compiler.coupling import Group, Member
from ...compiler.ir.program import Program
from .gradients import Gradients, Loss, gradients
from .least_squares import NormalEquations
from .readers import Reader, ordered, readers_of
from .removal import Problem, removal_errors
from .rows import add_rows
from .units import Floats, makers_and_readers, sum_by_unit

RIDGE = 0.01  # for choosing units; relative to the mean energy of the features


@dataclass
class Scoring:
    """The program, its groups and the data, for criteria to ask.

    Args:
        program: As it was analyzed; left as it is.
        groups: Those that may be pruned.
        batches: Calibration data; only what needs it fails without.
        loss: What gradients are taken of; None: see `gradients`.
        ridge: Of least squares, relative to the mean energy of the features.
        seed: Of whatever is drawn.
        progress: Called with the fraction of the data that was seen.
    """

    program: Program
    groups: Sequence[Group]
    batches: list[Batch] = field(default_factory=list)
    loss: Loss | None = None
    ridge: float = RIDGE
    seed: int = 0
    progress: Callable[[float], None] = lambda done: None

    def weight(self, member: Member) -> Tensor:
        """The weight of a member, float32."""
        return self._weights[member.weight].detach().float()

    def fisher(self, member: Member) -> Tensor:
        """The mean over batches of the squared gradient of the member's weight."""
        return self._gradients.fisher[member.weight]

    def first_order(self, members: Sequence[Member], size: int) -> Floats:
        """Sum over members of the mean over batches of (sum of w dL/dw over a unit)^2."""
        total = np.zeros(size)
        for member in members:
            batches = self._gradients.moments[member.weight, member.dim]
            for moments in batches:
                total += sum_by_unit(member, size, moments) ** 2 / len(batches)
        return total

    def energy(self, reader: Reader) -> Tensor:
        """The mean square of what a layer reads, for each of its input channels."""
        return self._energies[reader.call]

    def sensitivity(self, reader: Reader) -> list[Tensor]:
        """What errors of the layer's result count, [samples, positions...] for each batch."""
        return self._row_gradients.rows[reader.call]

    def reconstruction(self, group: Group) -> Floats | None:
        """The error of the readers' results, refitted, when a unit and all that are cheaper go.

        Rows of the results count as much as the outputs depend on them: groups compare.
        """
        problems = []
        for member, reader in readers_of(group):
            equations = self._equations[reader.call]
            scatter = equations.scatter(centered=reader.bias is not None)
            damping = max(self.ridge * float(scatter.diagonal().mean()), 1e-12)
            system = scatter + damping * torch.eye(len(scatter), dtype=torch.float64)
            matrix, units = reader.matrix(self.program), reader.units(member)
            importance = equations.weight / matrix.shape[1]
            problems.append(Problem(torch.linalg.inv(system), matrix, units, importance))
        return removal_errors(problems, group.size) if problems else None

    @cached_property
    def readers(self) -> list[Reader]:
        """The layers that read units of the groups, in the order of the graph."""
        return ordered(reader for group in self.groups for _, reader in readers_of(group))

    @cached_property
    def _weights(self) -> dict[str, Tensor]:
        return self.program.weights

    @cached_property
    def _gradients(self) -> Gradients:
        keys = [(m.weight, m.dim) for group in self.groups for m in makers_and_readers(group)]
        return gradients(self.program, self.batches, self.loss, weights=keys, seed=self.seed)

    @cached_property
    def _row_gradients(self) -> Gradients:
        taps = [(reader.call, reader.channel_dim) for reader in self.readers]
        return gradients(self.program, self.batches, self.loss, activations=taps, seed=self.seed)

    @cached_property
    def _energies(self) -> dict[Node, Tensor]:
        totals: dict[Node, Tensor] = {}
        count = len(self.batches)
        for values in self._values():
            for reader in self.readers:
                value = values[reader.source].double().movedim(reader.channel_dim, 0).flatten(1)
                mean = value.square().mean(1) / count
                totals[reader.call] = totals.get(reader.call, torch.zeros(())) + mean
        return totals

    @cached_property
    def _equations(self) -> dict[Node, NormalEquations]:
        """For each reader, the scatter of what it reads."""
        found = {
            reader.call: NormalEquations.of_size(reader.feature_count, 0) for reader in self.readers
        }
        generator = torch.Generator().manual_seed(self.seed)
        for number, values in enumerate(self._values()):
            for reader in self.readers:
                weights = self.sensitivity(reader)[number]
                source = values[reader.source]
                nothing = torch.zeros(weights.numel(), 0)
                share = len(self.batches)
                add_rows([found[reader.call]], reader, source, nothing, weights, share, generator)
        return found

    def _values(self) -> Iterator[dict[Node, Tensor]]:
        """What the readers read, batch by batch."""
        sources = list(dict.fromkeys(reader.source for reader in self.readers))
        for number, batch in enumerate(self.batches):
            self.progress(number / len(self.batches))
            with torch.no_grad():
                yield run_batched(self.program, batch.inputs, keep=sources, outputs=False).kept
