"""What the teacher says about a batch; it is asked once about each sample."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.batched_run import run_batched
from ...compiler.batches import Batch
from ...compiler.ir.program import Program, node_spec
from ...compiler.training.samples import join, split

_LARGE = 6e4  # about the largest float16


@dataclass(frozen=True)
class Answer:
    """Values of nodes of the teacher for a batch, samples joined on dimension 0.

    `importance` [N, T] says for nodes of [N, T, D] how much each position counts.
    """

    outputs: list[Tensor]
    values: dict[Node, Tensor]
    importance: dict[Node, Tensor]


class Teacher:
    """Gives and remembers what a program computes.

    Values of nodes are kept as float16, whose rounding is far below what students reach, unless
    they are too large for it.

    Args:
        program: Is left as it is.
        states: Hidden states that are wanted beside the outputs; positions of sequences are
            weighed.
        reads: Other nodes whose values are wanted.
        cache_bytes: How much is remembered; samples beyond it are computed each time.
    """

    def __init__(
        self, program: Program, states: Sequence[Node], reads: Sequence[Node], cache_bytes: int
    ) -> None:
        self.program, self._bytes_left, self._is_full = program, cache_bytes, False
        self._answers: dict[bytes, Answer] = {}
        self.narrow(states, reads)

    @property
    def remembered(self) -> int:
        """The number of samples that it is not asked about again."""
        return len(self._answers)

    def narrow(self, states: Sequence[Node], reads: Sequence[Node]) -> None:
        """Give the values of these nodes alone from now on, and forget what was said."""
        self.states, self.nodes = list(states), list(dict.fromkeys([*states, *reads]))
        self._weighed = [node for node in states if len(node_spec(node).shape) == 3]
        self._bytes_left += sum(map(_size, self._answers.values()))
        self._answers.clear()
        self._is_full = False

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Fill the memory with answers to the first of these batches, as many as it holds.

        Answers depend, in their last bits, on which samples are asked about together: this way they
        do not depend on when a sample comes first, and a resumed run gets those it had.
        """
        for batch in batches:
            if self._is_full:
                return
            self.answer(batch)

    def answer(self, batch: Batch) -> Answer:
        """The answer for a batch, on the device of its inputs, never in half precision."""
        device = batch.inputs[0].device if batch.inputs else torch.device("cpu")
        samples = split(self.program, Batch(batch.inputs, None, batch.times))
        keys = [_key(sample) for sample in samples]
        known = {key: self._answers[key] for key in keys if key in self._answers}
        unknown = {k: sample for k, sample in zip(keys, samples, strict=True) if k not in known}
        with torch.autocast(device.type, enabled=False):
            if unknown:
                answer = self._ask(join(list(unknown.values())))
                for key, part in zip(unknown, _split(answer, len(unknown)), strict=True):
                    known[key] = part
                    self._remember(key, part)
            return _join([known[key] for key in keys], device)

    def _ask(self, batch: Batch) -> Answer:
        self.program.module.to(batch.inputs[0].device if batch.inputs else "cpu")
        values: dict[Node, Tensor] = {}

        def watch(node: Node, value: Tensor) -> Tensor:
            values[node] = value if value.requires_grad else value.requires_grad_()
            return values[node]

        edits = {node: (lambda value, node=node: watch(node, value)) for node in self._weighed}
        with torch.set_grad_enabled(bool(self._weighed)):
            run = run_batched(self.program, batch.inputs, keep=self.nodes, edit=edits)
            importance = _importance(run.outputs, {node: values[node] for node in self._weighed})
        return Answer(
            [output.detach() for output in run.outputs],
            {node: _compact(value.detach()) for node, value in run.kept.items()},
            importance,
        )

    def _remember(self, key: bytes, answer: Answer) -> None:
        if key in self._answers:
            return
        self._is_full = _size(answer) > self._bytes_left
        if not self._is_full:
            self._bytes_left -= _size(answer)
            self._answers[key] = Answer(
                [_own(tensor) for tensor in answer.outputs],
                {node: _own(tensor) for node, tensor in answer.values.items()},
                {node: _own(tensor) for node, tensor in answer.importance.items()},
            )


def _importance(outputs: Sequence[Tensor], values: dict[Node, Tensor]) -> dict[Node, Tensor]:
    """Equal weights for the positions that the outputs depend on, none for the others.

    Padding that a mask hides has a gradient of exactly zero. Nothing else needs to be known of what
    a mask is.
    """
    generator = torch.Generator().manual_seed(0)
    differentiable = [output for output in outputs if output.requires_grad]
    if not values or not differentiable:
        return {}
    directions = [
        torch.randn(output.shape, generator=generator).to(output) for output in differentiable
    ]
    gradients = torch.autograd.grad(
        differentiable, list(values.values()), directions, allow_unused=True
    )
    weights: dict[Node, Tensor] = {}
    for (node, value), gradient in zip(values.items(), gradients, strict=True):
        if gradient is None:
            counts = torch.ones(value.shape[:2], device=value.device)
        else:
            counts = (gradient != 0).any(2).float()
        weights[node] = counts / counts.sum(1, keepdim=True).clamp_min(1)
    return weights


def _key(sample: Batch) -> bytes:
    digest = blake2b(digest_size=16)
    for tensor in sample.inputs:
        dense = tensor.detach().cpu().contiguous().flatten()
        digest.update(dense.view(torch.uint8).numpy().data)
    return digest.digest()


def _split(answer: Answer, times: int) -> list[Answer]:
    outputs = [output.chunk(times) for output in answer.outputs]
    values = {node: value.chunk(times) for node, value in answer.values.items()}
    importance = {node: value.chunk(times) for node, value in answer.importance.items()}
    return [
        Answer(
            [parts[index] for parts in outputs],
            {node: parts[index] for node, parts in values.items()},
            {node: parts[index] for node, parts in importance.items()},
        )
        for index in range(times)
    ]


def _join(answers: Sequence[Answer], device: torch.device) -> Answer:
    def joined(parts: Sequence[Tensor]) -> Tensor:
        return torch.cat([part.cpu() for part in parts]).to(device)

    first = answers[0]
    return Answer(
        [joined(parts) for parts in zip(*(one.outputs for one in answers), strict=True)],
        {node: joined([one.values[node] for one in answers]) for node in first.values},
        {node: joined([one.importance[node] for one in answers]) for node in first.importance},
    )


def _size(answer: Answer) -> int:
    tensors = [*answer.outputs, *answer.values.values(), *answer.importance.values()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _compact(value: Tensor) -> Tensor:
    is_small = value.dtype == torch.float32 and bool((value.abs() < _LARGE).all())
    return value.half() if is_small else value


def _own(tensor: Tensor) -> Tensor:
    return tensor.cpu().clone()
