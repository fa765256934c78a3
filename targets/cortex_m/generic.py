"""Any kernel as scalar loops: what runs a layer for which nobody wrote a better one.

A stage whose results one reader takes one by one is computed inside that reader, so that sums are
accumulated in a register; all other intermediate results are scratch buffers, which the caller
passes. No vectors, no array on the stack.
"""

import math
from typing import Any

import tvm
from tvm import s_tir, tirx

from ..cpu.codegen import RawKernel, hoist_allocations, own_pass, pointers_for_buffers, to_loops
from ..cpu.flatten import flatten_buffers
from ..cpu.inline import inline_stages
from ..cpu.inplace import inplace_pairs
from ..cpu.lets import lets_to_registers, with_own_variables
from ..cpu.stages import Stage, stages, touches
from ..cpu.threads import run_tasks

_TARGET = "c"


def lower_generic(func: Any, symbol: str, *, inputs: int) -> RawKernel:
    """Lower the PrimFunc of one region to scalar loops over raw pointers.

    Args:
        func: TE stages; its first `inputs` parameters are read, the others written.
        symbol: Its name in C.
        inputs: Number of parameters that are read.
    """
    func, inplace = _scheduled(run_tasks(func, False), inputs)
    mod = tvm.IRModule({symbol: func.with_attr("global_symbol", symbol)})
    target = tvm.target.Target(_TARGET)
    with tvm.transform.PassContext(opt_level=3):
        mod = _apply(mod, with_own_variables)
        mod = to_loops()(tirx.transform.BindTarget(target.with_host(target))(mod))
        mod = _apply(mod, flatten_buffers)
        params = len(mod[symbol].params)
        mod = _apply(mod, _hoist_arrays)
        mod = _to_statements()(mod)
    lowered = mod[symbol]
    return RawKernel(
        func=pointers_for_buffers(lowered).with_attr("tirx.noalias", not inplace),
        workspaces=tuple((_elements(p), str(p.ty.dtype)) for p in lowered.params[params:]),
        inplace=inplace,
        parallel=False,
    )


def _scheduled(func: Any, inputs: int) -> tuple[Any, tuple[tuple[int, int], ...]]:
    if func.body.block.name_hint != "root":  # one stage, and it is statements: nothing to move
        return func, ()
    sch = s_tir.Schedule(tvm.IRModule({"main": func}))
    sch.work_on("main")
    inline_stages(sch)
    inplace = inplace_pairs(sch, inputs)
    outputs = list(sch.mod["main"].params)[inputs:]
    for stage in reversed(stages(sch)):
        _place(sch, stage, outputs)
    for stage in stages(sch):
        if stage.kind == "reduction":
            _separate_start(sch, stage)
    return sch.mod["main"], inplace


def _separate_start(sch: Any, stage: Stage) -> None:
    """Set a sum to its first value before its loops, not in their first iteration."""
    try:
        sch.decompose_reduction(stage.block, _reduction_loops(sch, stage)[0])
    except s_tir.ScheduleError:
        return  # loops around the sum share an axis with it


def _place(sch: Any, stage: Stage, outputs: list[Any]) -> None:
    """Compute a stage inside the only one that reads it, if that computes nothing twice."""
    if stage.kind == "opaque" or not stage.axes:
        return
    if stage.kind == "reduction" and any(stage.store.buffer.same_as(out) for out in outputs):
        _compute_at(sch, stage.block, sch.cache_write(stage.block, 0, "global"))
        return
    buffer = stage.store.buffer
    others = [other for other in stages(sch) if other.name != stage.name]
    readers = [other for other in others if touches(other, buffer)]
    if len(readers) != 1 or readers[0].kind != "injective":
        return
    (reader,) = readers
    loads = [load for load in reader.loads if load.source.same_as(buffer)]
    if len(loads) == 1 and math.prod(reader.extents) <= math.prod(stage.extents):
        _compute_at(sch, stage.block, reader.block)


def _compute_at(sch: Any, block: Any, reader: Any) -> None:
    loops = sch.get_loops(reader)
    if not loops:
        return
    try:
        sch.compute_at(block, loops[-1], preserve_unit_loops=True)
    except s_tir.ScheduleError:
        return  # read through an opaque access, or before it is complete


def _reduction_loops(sch: Any, stage: Stage) -> list[Any]:
    return list(sch.get_loops(stage.block))[-len(stage.reduce_axes) :]


def _to_statements() -> Any:
    """Loops to statements that C has."""
    blocks, flat = s_tir.transform, tirx.transform
    return tvm.ir.transform.Sequential(
        [
            flat.StmtSimplify(),
            flat.ConvertSSA(),
            flat.NarrowDataType(32),
            flat.VectorizeLoop(False),
            blocks.RewriteUnsafeSelect(),
            own_pass(lets_to_registers, "LetsToRegisters"),
            flat.UnrollLoop(),
            blocks.RenormalizeSplitPattern(),
            flat.StmtSimplify(),
            flat.RemoveNoOp(),
            flat.LowerIntrin(),
            own_pass(lets_to_registers, "LetsToRegisters"),  # of divisions
        ]
    )


def _hoist_arrays(func: Any) -> Any:
    return hoist_allocations(func, lambda buffer: _elements(buffer) > 1)


def _apply(mod: Any, rewrite: Any) -> Any:
    return tvm.IRModule({var: rewrite(func) for var, func in mod.functions.items()})


def _elements(buffer: Any) -> int:
    return math.prod(int(size) for size in buffer.ty.shape)
