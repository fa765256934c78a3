"""Fits the layers of a pruned program to what the original computes, on calibration data.

Layers are visited in the order of the graph. Each is refitted by least squares to give the
original's result from what it now reads, so that later layers make up for what earlier ones could
not; where its result is added to another value, the sum is what is fitted. The idea of refitting
readers is that of ThiNet (Luo et al. 2017) and channel pruning (He et al. 2017); fitting to the
original's results from the compressed program's inputs follows the latter.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.batches import Batch
from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of, shape_of
from .frontier import Frontier
from .least_squares import NormalEquations, best_ridge
from .readers import reader_of, replace_values
from .rows import add_rows
from .teacher import Teacher

_ATEN = torch.ops.aten


@dataclass(frozen=True, kw_only=True)
class Repair:
    """How to fit.

    Args:
        teacher: The original; None where no layer is refitted.
        batches: Calibration data.
        sensitivities: For each layer to refit, what an error of its result counts: [samples,
            positions...] per batch.
        norms: Batch norms whose statistics are to be estimated anew.
        ridge: Of least squares, relative to the mean energy of the features; None: see
            `best_ridge`.
        seed: Of the rows that are drawn where there are more than enough.
        progress: Called with the fraction that is done.
    """

    teacher: Teacher | None
    batches: list[Batch]
    sensitivities: Mapping[Node, Sequence[Tensor]]
    norms: Collection[Node] = ()
    ridge: float | None = None
    seed: int = 0
    progress: Callable[[float], None] = lambda done: None

    def run(self, program: Program) -> int:
        """Refit layers and norms of the pruned program in place; their number."""
        mine = Frontier(program, self.batches)
        refit = None if self.teacher is None else _Refit(self, self.teacher, program, mine)
        calls = [n for n in program.graph.nodes if n in self.norms or n in self.sensitivities]
        for number, call in enumerate(calls):
            self.progress(number / len(calls))
            if call in self.norms:
                _renormalize(program, call, mine)
            elif refit is not None:
                refit.run(call)
            mine.advance(call)
        return len(calls)


class _Refit:
    """Refits layers in the order of the graph."""

    def __init__(self, how: Repair, teacher: Teacher, program: Program, mine: Frontier) -> None:
        self.how, self.teacher, self.program, self.mine = how, teacher, program, mine
        self.original = Frontier(teacher.program, how.batches)

    def run(self, call: Node) -> None:
        """Fit the layer at `call`."""
        reader = reader_of(call)
        assert reader is not None, call
        old = reader.matrix(self.program)
        halves = [NormalEquations.of_size(*old.shape) for _ in range(2)]
        generator = torch.Generator().manual_seed(self.how.seed)
        place, addend = self._target(call)
        read = [reader.source] if addend is None else [reader.source, addend]
        batches = zip(
            self.mine.values(read),
            self.original.values([self.teacher.nodes[place]]),
            self.how.sensitivities[call],
            strict=True,
        )
        for values, targets, weights in batches:
            target = self.teacher.what_is_left(place, targets[self.teacher.nodes[place]])
            target = target if addend is None else target - values[addend]
            source, rows = values[reader.source], reader.rows(target)
            add_rows(halves, reader, source, rows, weights, len(self.how.batches), generator)
        with_offset, ridge = reader.bias is not None, self.how.ridge
        if ridge is None:
            ridge = best_ridge(halves, old, with_offset=with_offset)
        fitted = (halves[0] + halves[1]).solve(ridge, old, with_offset=with_offset)
        reader.store(self.program, *fitted)
        self.original.advance(self.teacher.nodes[call])

    def _target(self, call: Node) -> tuple[Node, Node | None]:
        """The node whose original value to fit, and what it is added to."""
        if len(call.users) == 1:
            user = next(iter(call.users))
            addends = [value for value in user.args if value is not call]
            if (
                user.target is _ATEN.add.Tensor
                and arguments_of(user)["alpha"] == 1
                and user in self.teacher.nodes
                and isinstance(addends[0], Node)
                and shape_of(addends[0]) == shape_of(call)
                and not _depends(addends[0], call)
            ):
                return user, addends[0]
        return call, None


def batch_norms(program: Program) -> list[Node]:
    """The batch norms that use running statistics."""
    found = program.graph.find_nodes(op="call_function", target=_ATEN.batch_norm.default)
    return [node for node in found if isinstance(arguments_of(node)["running_mean"], Node)]


def _renormalize(program: Program, norm: Node, mine: Frontier) -> None:
    """Give a batch norm the mean and variance of what it reads now."""
    arguments = arguments_of(norm)
    source, count = arguments["input"], 0
    total = square = torch.zeros(())
    for values in mine.values([source]):
        rows = values[source].double().movedim(1, 0).flatten(1)
        total, square = total + rows.sum(1), square + rows.square().sum(1)
        count += rows.shape[1]
    mean = total / count
    variance = (square / count - mean.square()).clamp_min(0) * count / max(1, count - 1)
    replace_values(program, arguments["running_mean"], mean)
    replace_values(program, arguments["running_var"], variance)


def _depends(node: Node, source: Node) -> bool:
    """Whether `node` is computed from `source`."""
    seen, stack = {node}, [node]
    while stack:
        current = stack.pop()
        if current is source:
            return True
        new = [each for each in current.all_input_nodes if each not in seen]
        seen.update(new)
        stack += new
    return False
