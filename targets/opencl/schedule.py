"""The schedule of a device kernel: the CPU's tiles, for vectors and registers of a work-item."""

from dataclasses import fields, replace
from typing import Any

from ..cpu.schedule import Scheduled, schedule_kernel
from ..cpu.threads import run_tasks
from ..mobile_gpus import MobileGpu
from ..target import Target
from .work_items import mark_work_items


def schedule_device(func: Any, target: MobileGpu, *, inputs: int) -> Scheduled:
    """Schedule the PrimFunc of one region; loops that become work-items are PARALLEL.

    Args:
        func: TE stages; its first `inputs` parameters are read, the others written.
        target: The GPU, and the CPU that the stages were made for.
        inputs: Number of parameters that are read.
    """
    tasks = run_tasks(func, parallel=True)
    scheduled = schedule_kernel(tasks, work_item(target), inputs=inputs, parallel=False)
    return Scheduled(mark_work_items(scheduled.func), scheduled.inplace)


def work_item(target: MobileGpu) -> Target:
    """One work-item as schedules see it: a core with its vectors that multiplies by lane."""
    known = {field.name: getattr(target, field.name) for field in fields(Target)}
    core = Target(**known)
    lanes = target.vector_bits // 32
    return replace(
        core,
        triple="aarch64-linux-gnu",
        llvm_cpu="cortex-a72",
        features=(),
        simd_bits=target.vector_bits,
        simd_registers=target.registers // lanes,
    )
