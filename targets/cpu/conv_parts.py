"""Convolutions in parts (groups, residues of a transposed one), channels last, as matrix products.

The accumulation is P[n, position..., part..., o] over taps and input channels. A tile is some
neighboring positions x one panel of the output channels of one part. The result has its parts
inside of other axes: channel g * own + o of position q * residues + r. Its loops are split so that
they are those of the accumulation, which is then computed inside, tile by tile.
"""

import math
from typing import Any

import tvm_ffi
from tvm import ir, s_tir, sym, tirx

from ..target import Target
from .conv import image_read, panel_width, panels_outside, sum_length
from .loops import micro_kernel, split_tiles, store_tile, stored_lanes
from .nests import parallelize_tiles
from .stages import Stage, stage_of
from .threads import is_worth_threads
from .tiles import most_rows, product_tile


def parts_panel(target: Target, own: int) -> int:
    """Columns per panel of weights for parts of `own` channels.

    Less than a vector is one of fewer lanes.
    """
    lanes = target.lanes(32)
    if own < lanes:
        return int(2 ** math.ceil(math.log2(own)))
    return product_tile(target, 14, own, 256).columns


def schedule(sch: Any, stage: Stage, target: Target, parallel: bool) -> set[str]:
    """Schedule one "parted" accumulation with its epilogue; the names it scheduled."""
    product, lanes = stage.block, target.lanes(32)
    rank = len(stage.node.annotations["residues"])
    tail = epilogue_of(sch, stage) or sch.cache_write(product, 0, "global")
    n, *axes, o = sch.get_loops(tail)
    space, parts = axes[:rank], axes[rank:]
    panel = panel_width(stage)
    width, depth = stage.extents[rank], sum_length(stage)
    tile = product_tile(target, width, stage.extents[-1], depth, panel=max(panel, lanes))
    x_outer, x = split_tiles(sch, space[-1], tile.rows)
    rows, outer = [x], [*space[:-1], x_outer]
    beside = most_rows(target, max(1, panel // lanes)) // tile.rows
    if rank > 1 and tile.rows == width and beside > 1:
        y_outer, y = split_tiles(sch, space[-2], _even(stage.extents[rank - 1], beside))
        rows, outer = [y, x], [*space[:-2], y_outer, x_outer]
    width = stored_lanes(sch, tail, panel, target)
    o_outer, vectors, vector = split_tiles(sch, o, panel // width, width)
    panels = [*parts, o_outer]
    many = int(sch.get(n).extent) * int(sch.get(outer[0]).extent)
    groups = int(stage.node.annotations["groups"])
    outside = panels_outside(stage, target, rank=rank, rows=many, groups=groups)
    order = [*panels, *outer] if outside else [outer[0], *panels, *outer[1:]]
    sch.reorder(n, *order, *rows, vectors, vector)
    sch.compute_at(product, order[-1], preserve_unit_loops=True)
    sch.set_scope(product, 0, "local")
    store_tile(sch, rows, vectors, vector)
    if parallel and is_worth_threads(stage, target):
        parallelize_tiles(sch, [n, *parts] if outside else [n], o_outer if outside else outer[0])
    steps = min(tile.steps, stage.node.iter_vars[-1].dom.extent)
    taps = sch.get_loops(product)[-rank - 1 : -1]
    micro_kernel(sch, product, target, steps=int(steps), left=image_read(stage))
    if not parallel:  # else the loops over the parts may be one
        _skip_first_taps(sch, stage, taps, parts)
    return {stage.name, stage_of(sch, tail).name}


def _skip_first_taps(sch: Any, stage: Stage, taps: list[Any], parts: list[Any]) -> None:
    """Leave out tap 0 in those parts whose weights for it are all zero."""
    notes = stage.node.annotations
    residues, short = [int(r) for r in notes["residues"]], notes["short"]
    own = iter(parts[len(parts) - sum(size > 1 for size in residues) :])
    for tap, size, missing in zip(taps, residues, short, strict=True):
        residue = sch.get(next(own)).loop_var if size > 1 else None
        loop, without = sch.get(tap), [int(r) for r in missing]
        if residue is None or not without or int(loop.extent) == 1:
            continue
        others = [residue == r for r in range(size) if r not in without]
        body = tirx.IfThenElse(tirx.any(loop.loop_var > 0, *others), loop.body, None)
        new = tirx.For(loop.loop_var, loop.min, loop.extent, loop.kind, body)
        sch.state.replace(sch.get_sref(tap), new, {})


def epilogue_of(sch: Any, stage: Stage) -> Any:
    """The one elementwise reader, its loops now those of the accumulation; else None."""
    readers = sch.get_consumers(stage.block)
    if len(readers) != 1:
        return None
    reader = stage_of(sch, readers[0])
    loads = [load for load in reader.loads if load.source.same_as(stage.store.buffer)]
    residues = [int(r) for r in stage.node.annotations["residues"]]
    if reader.kind != "injective" or reader.template == "pad" or len(loads) != 1:
        return None
    if len(reader.axes) != len(residues) + 2:
        return None
    split = _splitting(stage, residues)
    if not _is_whole(reader, stage, residues) or not _reads(reader, loads[0], split(*reader.axes)):
        return None
    index_map = tirx.IndexMap.from_func(split, len(reader.axes), index_dtype="int32")
    sch.transform_block_layout(readers[0], index_map)
    simplify_indices(sch, readers[0])
    return readers[0]


def _splitting(stage: Stage, residues: list[int]) -> Any:
    """The function from an index of the result to one of the accumulation."""
    own = int(stage.node.annotations["own"])
    grouped = int(stage.node.annotations["groups"]) > 1

    def split(n: Any, *at: Any) -> list[Any]:
        *position, o = at
        pairs = list(zip(position, residues, strict=True))
        q = [tirx.floordiv(p, r) if r > 1 else p for p, r in pairs]
        parts = [tirx.floormod(p, r) for p, r in pairs if r > 1]
        groups = [tirx.floordiv(o, own)] if grouped else []
        return [n, *q, *groups, *parts, tirx.floormod(o, own) if grouped else o]

    return split


def _is_whole(reader: Stage, stage: Stage, residues: list[int]) -> bool:
    """Whether every residue and every group has as many results as the others."""
    notes = stage.node.annotations
    pairs = zip(stage.extents[1 : 1 + len(residues)], residues, strict=True)
    channels = int(notes["groups"]) * int(notes["own"])
    return reader.extents[1:] == [*(size * r for size, r in pairs), channels]


def _reads(reader: Stage, load: Any, wanted: list[Any]) -> bool:
    analyzer = sym.Analyzer()
    for axis, extent in zip(reader.axes, reader.extents, strict=True):
        analyzer.bind(axis, ir.Range(0, extent))
    sizes = map(int, load.source.ty.shape)
    triples = zip(load.indices, wanted, sizes, strict=True)
    return all(size == 1 or analyzer.can_prove_equal(got, want) for got, want, size in triples)


def simplify_indices(sch: Any, block: Any) -> None:
    """Shorten the indices that a block reads at, knowing how far its axes go.

    TVM leaves `(g * 80 + o) // 80`, and where a tile reaches over the end of o it is no tile of g.
    """
    node = sch.get(block)
    analyzer = sym.Analyzer()
    for axis in node.iter_vars:
        analyzer.bind(axis.var, axis.dom)

    def load(found: Any) -> Any:
        return tirx.BufferLoad(found.source, [analyzer.simplify(index) for index in found.indices])

    def ranges(region: Any) -> Any:
        sizes = [
            ir.Range.from_min_extent(analyzer.simplify(r.min), r.extent) for r in region.region
        ]
        return tirx.BufferRegion(region.source, sizes)

    simpler = s_tir.SBlock(
        node.iter_vars,
        [ranges(region) for region in node.reads],
        node.writes,
        node.name_hint,
        tvm_ffi.structural_map(node.body, (ir.TensorLoad, load)),
        node.init,
        node.alloc_buffers,
        node.match_buffers,
        node.annotations,
    )
    sch.state.replace(sch.get_sref(block), simpler, {node: simpler})


def _even(size: int, most: int) -> int:
    """The size of the fewest parts that are at most so large and nearly even."""
    return -(-size // -(-size // most))
