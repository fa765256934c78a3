"""The batches of each update: the same in every run, and in every process its share."""

from collections.abc import Iterator, Sequence
from itertools import islice

from ..batches import Batch, Batches
from ..errors import CompileError
from ..ir.program import Program
from .options import TrainingOptions
from .samples import Samples


class Feed:
    """Groups of batches; the gradients of one group are averaged into one update.

    Args:
        program: What the data is for.
        data: Drawn anew for every epoch, or read as it comes where `batch_size` is 0.
        options: How training takes the data.
        processes: Number of processes that share every group.

    Raises:
        CompileError: There are fewer batches than processes.
    """

    def __init__(
        self,
        program: Program,
        data: Batches | Samples,
        options: TrainingOptions,
        processes: int,
    ) -> None:
        if options.batch_size and isinstance(data, Batches):
            data = Samples(program, data)
        self.data, self.options, self.processes = data, options, processes
        self.steps_per_epoch = self._count()
        if not self.steps_per_epoch:
            raise CompileError(
                "every process needs a batch",
                got=f"{processes} processes, fewer batches",
                fix="give more data or make batches smaller",
            )

    def epoch(self, number: int) -> Iterator[Sequence[Batch]]:
        """The groups of one epoch, in order; reads the data again."""
        batches = iter(self._batches(number))
        size = self.options.accumulate * self.processes
        while len(group := list(islice(batches, size))) >= self.processes:
            yield group

    def _batches(self, epoch: int) -> Iterator[Batch]:
        if isinstance(self.data, Samples):
            return self.data.drawn(self.options.batch_size, self.options.seed + epoch)
        return iter(self.data)

    def _count(self) -> int:
        if isinstance(self.data, Samples):
            batches = max(1, len(self.data) // self.options.batch_size)
        else:
            batches = len(self.data)
        size = self.options.accumulate * self.processes
        return batches // size + (batches % size >= self.processes)
