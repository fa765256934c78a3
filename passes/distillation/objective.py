"""What a student is trained for: the losses of distillation with their weights."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.fx import Node

from ...compiler.batches import Batch
from ...compiler.errors import CompileError
from ...compiler.training.forward import Run
from .attention_maps import Attention, reads_of
from .hidden_states import Pair
from .losses import (
    attention_divergence,
    cross_entropy,
    directions,
    distance,
    divergence,
    similarities,
    squared_error,
)
from .options import DistillationOptions
from .teacher import Answer, Teacher

_SMALL = 1e-12
_ANCHORS = 1024  # samples that others are compared with


class Distillation(nn.Module):
    """The loss of a student; its parameters are the projections to wider states of the teacher.

    Args:
        teacher: Remembers what it says.
        options: Which losses there are, and their weights.
        pairs: Hidden states that belong together; none where their weight is 0.
        maps: Attention of the student and of the teacher that belong together.
        run: Runs the student, on
        batch: the samples that choose what states mean: their sizes, the projections to begin with
            and, where the teacher has more blocks, which of its states the student is nearest to.
    """

    def __init__(
        self,
        teacher: Teacher,
        options: DistillationOptions,
        pairs: Sequence[Pair],
        maps: Sequence[tuple[Attention, Attention]],
        run: Run,
        batch: Batch,
    ) -> None:
        super().__init__()
        self.teacher, self.options = teacher, options
        self.maps = list(maps)
        answer = teacher.answer(batch)
        with torch.no_grad():
            found = run(keep=[pair.student for pair in pairs]).kept
        self.pairs = _aligned(pairs, found, answer, teacher.states)
        self.projections = nn.ModuleDict()
        self.state_sizes: dict[Node, Tensor] = {}
        for pair in self.pairs:
            wanted, importance = answer.values[pair.teacher], answer.importance.get(pair.teacher)
            self.state_sizes[pair.teacher] = _mean_square(wanted, importance)
            if pair.axis is not None:
                layer = _projection(found[pair.student], wanted, pair.axis)
                self.projections[pair.student.name] = layer
        self.output_sizes = [_mean_square(output, None) for output in answer.outputs]
        self.anchors: list[Tensor] = []
        teacher.narrow(
            [pair.teacher for pair in self.pairs], reads_of([theirs for _, theirs in self.maps])
        )

    def set_anchors(self, batches: Iterable[Batch]) -> None:
        """Compare samples with the first of these, by what the teacher says about them."""
        answers: list[list[Tensor]] = []
        for batch in batches:
            answers.append([directions(output) for output in self.teacher.answer(batch).outputs])
            if sum(len(outputs[0]) for outputs in answers) >= _ANCHORS:
                break
        self.anchors = [torch.cat(parts)[:_ANCHORS] for parts in zip(*answers, strict=True)]
        self.relation_sizes = [
            _mean_square(similarities(anchors, anchors), None) for anchors in self.anchors
        ]

    def forward(self, run: Run, batch: Batch) -> Tensor:
        answer, options = self.teacher.answer(batch), self.options
        outputs, values = self._run(run, answer)
        total = self._judged(outputs, answer, batch)
        if self.pairs:
            errors = [self._state(pair, values[pair.student], answer) for pair in self.pairs]
            total = total + (options.hidden_weight or 1.0) * torch.stack(errors).mean()
        if self.maps:
            divergences = [
                attention_divergence(ours.map(values), theirs.map(answer.values))
                for ours, theirs in self.maps
            ]
            total = total + options.attention_weight * torch.stack(divergences).mean()
        return total

    def _run(self, run: Run, answer: Answer) -> tuple[list[Tensor], dict[Node, Tensor]]:
        """Outputs of the student, and the values of its nodes that the losses need."""
        reads = reads_of([ours for ours, _ in self.maps])
        if self.options.mode == "end-to-end":
            states = [pair.student for pair in self.pairs]
            result = run(keep=list(dict.fromkeys([*states, *reads])))
            return result.outputs, result.kept
        values: dict[Node, Tensor] = {}
        edits = {pair.student: _Exchange(pair, values, answer) for pair in self.pairs}
        result = run(keep=reads, edit=edits)
        return result.outputs, result.kept | values

    def measure(self, run: Run, batch: Batch) -> Tensor:
        """The losses on outputs and labels alone; all of them where there is none of these."""
        if not self._judges_outputs():
            return self.forward(run, batch)
        outputs = run().outputs
        return self._judged(outputs, self.teacher.answer(batch), batch)

    def _judged(self, outputs: list[Tensor], answer: Answer, batch: Batch) -> Tensor:
        """What depends on outputs and labels alone."""
        own = self._outputs(outputs, answer) + self._relations(outputs, answer)
        return own + self._labels(outputs, batch)

    def _judges_outputs(self) -> bool:
        judges = self.options.output_weight and self.options.output != "none"
        return bool(judges or self.options.relation_weight or self.options.label_weight)

    def _outputs(self, outputs: Sequence[Tensor], answer: Answer) -> Tensor:
        options = self.options
        if not options.output_weight or options.output == "none":
            return torch.zeros(())
        losses = [
            self._output(output, wanted, size.to(output.device))
            for output, wanted, size in zip(outputs, answer.outputs, self.output_sizes, strict=True)
            if wanted.is_floating_point()
        ]
        return options.output_weight * torch.stack(losses).mean()

    def _output(self, output: Tensor, wanted: Tensor, size: Tensor) -> Tensor:
        if self.options.output == "kl":
            return divergence(output, wanted, self.options.temperature)
        if self.options.output == "cosine":
            return distance(output, wanted)
        return squared_error(output, wanted, size)

    def _relations(self, outputs: Sequence[Tensor], answer: Answer) -> Tensor:
        """Between samples and anchors."""
        if not self.options.relation_weight:
            return torch.zeros(())
        losses = [
            self._relation(output, wanted, anchors.to(output.device), size.to(output.device))
            for output, wanted, anchors, size in zip(
                outputs, answer.outputs, self.anchors, self.relation_sizes, strict=True
            )
            if wanted.is_floating_point()
        ]
        return self.options.relation_weight * torch.stack(losses).mean()

    @staticmethod
    def _relation(output: Tensor, wanted: Tensor, anchors: Tensor, size: Tensor) -> Tensor:
        ours, theirs = similarities(output, anchors), similarities(wanted, anchors)
        return squared_error(ours, theirs, size)

    def _labels(self, outputs: list[Tensor], batch: Batch) -> Tensor:
        if not self.options.label_weight:
            return torch.zeros(())
        if batch.labels is None:
            raise CompileError(
                "there are no labels to mix in", fix="give (inputs, labels) pairs, or no weight"
            )
        loss = self.options.label_loss or cross_entropy
        return self.options.label_weight * loss(outputs, batch.labels)

    def _state(self, pair: Pair, value: Tensor, answer: Answer) -> Tensor:
        wanted = answer.values[pair.teacher]
        if pair.axis is not None:
            moved = value.float().movedim(pair.axis, -1)
            value = self.projections[pair.student.name](moved).movedim(-1, pair.axis)
        size = self.state_sizes[pair.teacher].to(wanted.device)
        return squared_error(value, wanted, size, answer.importance.get(pair.teacher))


class _Exchange:
    """Keeps a value of the student, and lets the next block see that of the teacher."""

    def __init__(self, pair: Pair, values: dict[Node, Tensor], answer: Answer) -> None:
        self.pair, self.values, self.answer = pair, values, answer

    def __call__(self, value: Tensor) -> Tensor:
        self.values[self.pair.student] = value
        wanted = self.answer.values[self.pair.teacher]
        return value if self.pair.axis is not None else wanted.to(value.dtype)


def _mean_square(value: Tensor, importance: Tensor | None) -> Tensor:
    squares = value.detach().float().square()
    if importance is not None:
        return ((squares.mean(2) * importance).sum() / len(squares)).clamp_min(_SMALL)
    return squares.mean().clamp_min(_SMALL)


def _projection(value: Tensor, wanted: Tensor, axis: int) -> nn.Linear:
    """The least-squares map from the student's features to the teacher's."""
    rows = value.detach().float().movedim(axis, -1).flatten(0, -2)
    targets = wanted.float().movedim(axis, -1).flatten(0, -2)
    bordered = torch.cat([rows, torch.ones(len(rows), 1, device=rows.device)], 1).double()
    gram = bordered.T @ bordered
    gram += 1e-4 * gram.diagonal().mean() * torch.eye(len(gram), device=rows.device)
    solution = torch.linalg.solve(gram, bordered.T @ targets.double()).float()
    layer: nn.Linear = nn.utils.skip_init(nn.Linear, rows.shape[1], targets.shape[1])
    with torch.no_grad():
        layer.weight.copy_(solution[:-1].T)
        layer.bias.copy_(solution[-1])
    return layer


def _aligned(
    pairs: Sequence[Pair], found: Mapping[Node, Tensor], answer: Answer, states: Sequence[Node]
) -> list[Pair]:
    """Each pair with the nearest of the teacher's states before that of the next pair."""
    order = {node: number for number, node in enumerate(states)}
    starts = [order[pair.teacher] for pair in pairs]
    result = []
    for pair, start, end in zip(pairs, starts, [*starts, len(states)][1:], strict=True):
        wanted, value = answer.values[pair.teacher], found[pair.student]
        near = [
            state
            for state in states[start:end]
            if pair.axis is None and answer.values[state].shape == wanted.shape
        ]
        errors = [
            _error(value, answer.values[state], answer.importance.get(state)) for state in near
        ]
        best = near[errors.index(min(errors))] if near else pair.teacher
        result.append(replace(pair, teacher=best))
    return result


def _error(value: Tensor, wanted: Tensor, importance: Tensor | None) -> float:
    return float(squared_error(value, wanted, _mean_square(wanted, importance), importance))
