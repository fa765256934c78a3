"""Winograd convolutions: the epilogue moves into the statement that stores the outputs.

The kernel comes from its rule as statements (statements.py) that store sums; what reads them,
element by element, then stores the result of the kernel where those stores were.
"""

from collections.abc import Callable
from typing import Any

import tvm_ffi
from tvm import ir, s_tir, tirx

from ...target import Target
from ..stages import Stage, collect, cost, stages, touches
from ..threads import is_worth_threads
from .loops import REPEATED, SHARED

STRAIGHT = 12  # float operations of an epilogue that is written out for each output of a tile


def schedule(
    sch: Any,
    stage: Stage,
    target: Target,
    parallel: bool,
    share: Callable[[Any], Any] | None = None,
) -> set[str]:
    """Finish one "winograd" statement with its epilogue; returns the names of both stages.

    `share` marks loops of the statements as parallel; by default those that threads take.
    """
    sums = _stored(stage)
    epilogue = _epilogue(sch, stage, sums)
    body = stage.node.body
    if epilogue is not None:
        body = _with_epilogue(body, sums, epilogue.node)
    if share is None:
        body = _with_threads(body, parallel and is_worth_threads(stage, target))
    else:
        body = share(body)
    _replace(sch, stage, body, sums, epilogue)
    return {stage.name} | ({epilogue.name} if epilogue is not None else set())


def _stored(stage: Stage) -> Any:
    """The buffer of sums: what the loops over the outputs of a tile store."""
    loops = [f for f in collect(stage.node.body, tirx.For) if REPEATED in f.annotations]
    return collect(loops[0], tirx.BufferStore)[0].buffer


def _epilogue(sch: Any, stage: Stage, sums: Any) -> Stage | None:
    """The one elementwise reader of the sums, if it reads each at the place where it writes."""
    readers = [s for s in stages(sch) if s.name != stage.name and touches(s, sums)]
    if len(readers) != 1 or readers[0].kind != "injective" or readers[0].template:
        return None
    reader = readers[0]
    loads = [load for load in reader.loads if load.source.same_as(sums)]
    places = [reader.store.indices, *(load.indices for load in loads)]
    same = reader.extents == [int(n) for n in sums.ty.shape]
    return reader if same and all(_is_own(place, reader) for place in places) else None


def _is_own(place: Any, reader: Stage) -> bool:
    """Whether a place is the one that the reader is at; on an axis of one element it is 0."""
    return all(
        index.same_as(axis) or (size == 1 and isinstance(index, tirx.IntImm))
        for index, axis, size in zip(place, reader.axes, reader.extents, strict=True)
    )


def _with_epilogue(body: Any, sums: Any, epilogue: Any) -> Any:
    """The statements with the epilogue's store in place of every store to `sums`."""
    axes = [axis.var for axis in epilogue.iter_vars]
    store = epilogue.body

    def finish(partial: Any) -> Any:
        if not partial.buffer.same_as(sums):
            return partial
        places = list(zip(axes, partial.indices, strict=True))
        value = tvm_ffi.structural_map(
            store.value,
            [
                (ir.TensorLoad, lambda it: partial.value if it.source.same_as(sums) else it),
                (ir.Var, lambda var: next((i for a, i in places if a.same_as(var)), var)),
            ],
        )
        return tirx.BufferStore(store.buffer, value, list(partial.indices))

    straight = cost(store.value) <= STRAIGHT

    def loop(node: Any) -> Any:
        if REPEATED not in node.annotations or straight:
            return node
        serial = tirx.ForKind.SERIAL
        return tirx.For(node.loop_var, node.min, node.extent, serial, node.body)

    return tvm_ffi.structural_map(body, [(tirx.BufferStore, finish), (tirx.For, loop)])


def _with_threads(body: Any, parallel: bool) -> Any:
    """The statements with loops on the thread pool: over blocks if there are, else over parts."""
    marks = {str(loop.annotations.get(SHARED, "")) for loop in collect(body, tirx.For)}
    chosen = "blocks" if "blocks" in marks else "parts"

    def loop(node: Any) -> Any:
        if not node.annotations:
            return node
        shared = parallel and str(node.annotations.get(SHARED, "")) == chosen
        kind = tirx.ForKind.PARALLEL if shared else node.kind
        return tirx.For(node.loop_var, node.min, node.extent, kind, node.body)

    return tvm_ffi.structural_map(body, (tirx.For, loop))


def _replace(sch: Any, stage: Stage, body: Any, sums: Any, epilogue: Stage | None) -> None:
    """Put the statements where the stage was, and take its epilogue away."""
    root = sch.get(sch.get_sblock("root"))
    node = _block(stage.node, body, stage.node.alloc_buffers)
    statements: list[Any] = []
    for statement in root.body.seq if isinstance(root.body, tirx.SeqStmt) else [root.body]:
        blocks = collect(statement, s_tir.SBlock)
        if any(block.same_as(stage.node) for block in blocks):
            statements.append(s_tir.SBlockRealize([], True, node))
        elif epilogue is None or not any(block.same_as(epilogue.node) for block in blocks):
            statements.append(statement)
    inner = tirx.SeqStmt(statements) if len(statements) > 1 else statements[0]
    kept = [b for b in root.alloc_buffers if epilogue is None or not b.same_as(sums)]
    new_root = _block(root, inner, kept)
    reuse = {root: new_root, stage.node: node}
    sch.state.replace(sch.get_sref(sch.get_sblock("root")), new_root, reuse)


def _block(old: Any, body: Any, buffers: Any) -> Any:
    """The block with other contents."""
    return s_tir.SBlock(
        old.iter_vars,
        old.reads,
        old.writes,
        old.name_hint,
        body,
        old.init,
        buffers,
        old.match_buffers,
        old.annotations,
    )
