"""The schedule of a device kernel: tiles of sums and vectors for work-items, many of them.

Stages come in the order the rules made them. They are inlined as on a CPU; each that is left is a
loop nest, whose outer loops become work-items.
"""

from dataclasses import fields, replace
from typing import Any

import tvm
from tvm import s_tir

from ..cpu import taps
from ..cpu.inline import inline_stages
from ..cpu.inplace import inplace_pairs
from ..cpu.schedule import Scheduled
from ..cpu.seed_sums import seed_sums
from ..cpu.stages import stage_of, stages
from ..cpu.threads import run_tasks
from ..mobile_gpus import MobileGpu
from ..target import Target
from . import products, windows, winograd
from .long_sums import split_long_sums
from .nests import schedule_nest
from .packed_rows import inline_packing
from .rows import rows_of, schedule_row
from .views import inline_moves
from .work_items import mark_work_items, without_single_iterations


def schedule_device(func: Any, target: MobileGpu, *, inputs: int) -> Scheduled:
    """Schedule the PrimFunc of one region; loops that become work-items are PARALLEL.

    Args:
        func: TE stages; its first `inputs` parameters are read, the others written.
        target: The GPU, and the CPU that the stages were made for.
        inputs: Number of parameters that are read.
    """
    func = run_tasks(func, parallel=True)
    if func.body.block.name_hint != "root":  # one stage, and it is statements: nothing to move
        return Scheduled(mark_work_items(without_single_iterations(func)), ())
    sch = s_tir.Schedule(tvm.IRModule({"main": seed_sums(split_long_sums(func, target))}))
    sch.work_on("main")
    inline_stages(sch)
    inline_packing(sch)
    inline_moves(sch)
    inplace = inplace_pairs(sch, inputs)
    core, todo, done = work_item(target), stages(sch), set[str]()
    for stage in todo:
        if stage.template in products.TEMPLATES:
            done |= products.schedule(sch, stage, core, target)
        elif stage.template in windows.TEMPLATES:
            done |= windows.schedule(sch, stage, core, target)
        elif stage.template == "winograd":
            done |= winograd.schedule(sch, stage, core)
        elif stage.template == "taps":
            done |= taps.schedule(sch, stage, core, parallel=False)
    rest = [stage for stage in todo if stage.name not in done]
    for row in rows_of(sch, rest):
        schedule_row(sch, row, core, target)
        done |= {stage.name for stage in row.members}
    for stage in rest:
        if stage.name not in done:  # a template may have changed the layout of its buffer
            schedule_nest(sch, stage_of(sch, stage.block), core)
    return Scheduled(mark_work_items(sch.mod["main"]), inplace)


def work_item(target: MobileGpu) -> Target:
    """One work-item as schedules see it: a core with its vectors that multiplies by lane."""
    core = Target(**{field.name: getattr(target, field.name) for field in fields(Target)})
    return replace(
        core,
        triple="aarch64-linux-gnu",
        llvm_cpu="cortex-a72",
        features=(),
        simd_bits=target.vector_bits,
        simd_registers=target.registers * 32 // target.vector_bits,
    )
