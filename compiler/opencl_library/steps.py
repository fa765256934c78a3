"""The calls of a program as the run time counts them: what the device does at once is one."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ...targets.opencl.kernel import DeviceKernel, Launch
from ..library.build import call_rows
from ..lowering.program import Call, Lowered
from ..manifest import CallEntry


@dataclass(frozen=True)
class Step:
    """A call that the device launches kernels for, and those that these make superfluous.

    A device kernel writes the border around its images; the CPU has calls for that, which follow.
    """

    kernel: DeviceKernel
    call: Call
    others: tuple[Call, ...] = ()  # of the CPU only

    @property
    def calls(self) -> tuple[Call, ...]:
        """All that the CPU does."""
        return (self.call, *self.others)


def steps_of(lowered: Lowered) -> list[Step]:
    """The steps of an inference, in order."""
    steps: list[Step] = []
    for call in lowered.calls:
        if call.kernel in lowered.device_kernels:
            steps.append(Step(lowered.device_kernels[call.kernel], call))
        else:
            steps[-1] = replace(steps[-1], others=(*steps[-1].others, call))
    return steps


def launches_of(lowered: Lowered) -> Iterator[tuple[int, Step, Launch]]:
    """Every launch of an inference, in order, with its step and the number of that."""
    for index, step in enumerate(steps_of(lowered)):
        for launch in step.kernel.launches:
            yield index, step, launch


def step_rows(lowered: Lowered) -> tuple[CallEntry, ...]:
    """What each step does, for the manifest."""
    steps = steps_of(lowered)
    rows = call_rows([step.call for step in steps])
    return tuple(
        replace(row, launches=step.kernel.launches) for row, step in zip(rows, steps, strict=True)
    )
