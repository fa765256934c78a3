"""Loop nests of single stages: contiguous loops fused, the innermost one a vector."""

from collections.abc import Sequence
from typing import Any

import tvm_ffi
from tvm import ir, sym, tirx

from ..target import Target
from .flatten import position
from .integer_ops import narrows
from .loops import split_tiles
from .stages import Stage, cost, uses
from .threads import is_worth_threads

UNROLL = 4  # vectors per iteration of an elementwise loop
SIMPLE = 32  # float operations of an element; with more, temporaries of four vectors get spilled


def schedule_nest(sch: Any, stage: Stage, target: Target, *, first: int, parallel: bool) -> None:
    """Schedule the loops of a stage from the `first` one inward."""
    if stage.kind == "opaque" or not stage.axes:
        return
    if stage.kind == "reduction":
        _reduction(sch, stage, target, first, parallel)
    else:
        _elementwise(sch, stage, target, first)
        if parallel:
            _parallelize(sch, stage, target)


def _parallelize(sch: Any, stage: Stage, target: Target) -> None:
    """Run the outermost loop of a nest on the thread pool, if it is worth it."""
    loops = sch.get_loops(stage.block)
    if not loops or not is_worth_threads(stage, target):
        return
    outer, loop = loops[0], sch.get(loops[0])
    if loop.kind == tirx.ForKind.SERIAL and int(loop.extent) > 1:
        sch.parallel(outer)


def parallelize_tiles(sch: Any, outer: list[Any], tiles: Any) -> None:
    """Share the tiles of a product between threads, of all its batches where that is possible.

    A loop with a partial last tile is annotated, and TVM fuses no annotated loops.
    """
    if all(int(sch.get(loop).extent) == 1 for loop in outer):
        sch.parallel(tiles)
        return
    shared = outer if sch.get(tiles).annotations else [*outer, tiles]
    sch.parallel(sch.fuse(*shared) if len(shared) > 1 else shared[0])


def vectorize(sch: Any, loop: Any, lanes: int, unroll: int = 1) -> list[Any]:
    """Split a loop into vectors of `lanes`; the rest runs as a tail. Returns the new loops."""
    extent = int(sch.get(loop).extent)
    if extent <= lanes:
        sch.vectorize(loop)
        return [loop]
    if unroll > 1 and extent % (lanes * unroll) == 0:
        outer, middle, inner = sch.split(loop, [None, unroll, lanes])
        sch.unroll(middle)
    else:
        outer, inner = split_tiles(sch, loop, lanes)
    sch.vectorize(inner)
    return [outer, inner]


def _elementwise(sch: Any, stage: Stage, target: Target, first: int) -> None:
    loops = sch.get_loops(stage.block)[first:]
    if not loops:
        return
    fusable = min(fusable_axes(stage), len(loops))
    if fusable > 1:
        loops = [*loops[:-fusable], sch.fuse(*loops[-fusable:])]
    lanes = target.lanes(element_bits(stage))
    unroll = UNROLL if cost(stage.store.value) <= SIMPLE else 2
    if narrows(stage.store.value):  # several vectors become one
        lanes, unroll = target.lanes(8), 1
    outer = vectorize(sch, loops[-1], lanes, unroll)[0]
    if first == 0 and len(loops) > 1 and outer is not loops[-1]:
        sch.fuse(*loops[:-1])


def _reduction(sch: Any, stage: Stage, target: Target, first: int, parallel: bool) -> None:
    """Reduction loops outside, a few vectors of results inside."""
    loops = sch.get_loops(stage.block)
    count = len(stage.reduce_axes)
    spatial, reduce = loops[first:-count], loops[-count:]
    if not spatial or not reduce:
        return
    fusable = min(fusable_axes(stage), len(spatial))
    if fusable > 1:
        spatial = [*spatial[:-fusable], sch.fuse(*spatial[-fusable:])]
    is_alone = int(sch.get(spatial[-1]).extent) == 1  # TVM drops such loops
    vectorizes = walks_vectors(stage) and not is_alone
    if vectorizes:
        vectors, inner = _split_vectors(sch, spatial[-1], target.lanes(element_bits(stage)))
        sch.reorder(*reduce, vectors, inner)
        sch.unroll(vectors)
        sch.vectorize(inner)
    if parallel:  # decomposed loops cannot be marked any more
        _parallelize(sch, stage, target)
    init = sch.decompose_reduction(stage.block, reduce[0])
    if vectorizes:
        *_, vectors, inner = sch.get_loops(init)
        sch.unroll(vectors)
        sch.vectorize(inner)


def _split_vectors(sch: Any, loop: Any, lanes: int) -> tuple[Any, Any]:
    """The loop as vectors side by side, whose sums do not wait for each other: (which, lane)."""
    extent = int(sch.get(loop).extent)
    lanes = min(lanes, extent)
    beside = next(count for count in (UNROLL, 2, 1) if extent % (lanes * count) == 0 or count == 1)
    _, middle, inner = split_tiles(sch, loop, beside, lanes)
    return middle, inner


def walks_vectors(stage: Stage) -> bool:
    """Whether neighbors in the last axis read neighbors (or one element) of every input."""
    axis = stage.axes[-1]
    return all(
        not any(uses(index, axis) for index in load.indices[:-1]) or _reads_on(load, axis)
        for load in stage.loads
    )


def _reads_on(load: Any, axis: Any) -> bool:
    """Whether a step along the axis is one to the next element, though several indices change."""
    here = position(load.source, load.indices)
    there = tvm_ffi.structural_map(
        here, (ir.Var, lambda var: var + 1 if var.same_as(axis) else var)
    )
    return bool(sym.Analyzer().can_prove_equal(there - here, 1))


def fusable_axes(stage: Stage) -> int:
    """How many trailing axes every access walks contiguously, or does not use at all."""
    count = _contiguous(stage.store.buffer, stage.store.indices, stage)
    for load in stage.loads:
        count = min(count, _contiguous(load.source, load.indices, stage))
    return max(1, count)


def _contiguous(buffer: Any, index: Sequence[Any], stage: Stage) -> int:
    """Trailing axes of the stage along which an access walks through a buffer without a gap."""
    used = [any(uses(i, axis) for i in index) for axis in stage.axes]
    if not used[-1]:  # constant along the trailing axes that it does not use
        return next((n for n, u in enumerate(reversed(used)) if u), len(used))
    count, span = 0, 1
    axes = zip(reversed(stage.axes), reversed(stage.extents), strict=True)
    steps = reversed(stage.strides(buffer))
    for (axis, extent), place, step in zip(axes, reversed(index), steps, strict=False):
        if not place.same_as(axis) or step != span:
            break
        count, span = count + 1, span * extent
    return count


def element_bits(stage: Stage) -> int:
    """Bits of the widest element the stage touches."""
    types = [stage.store.buffer.ty.dtype, *(load.source.ty.dtype for load in stage.loads)]
    return max(8 if str(t) == "bool" else int("".join(filter(str.isdigit, str(t)))) for t in types)
