"""Products read rows where they are, not from copies that a CPU loads in pairs."""

from typing import Any

import tvm_ffi
from tvm import ir, s_tir, sym, tirx

from ..cpu.pack_rows import TEMPLATE
from ..cpu.stages import stages

_GUARD = ir.Op.get("prim.if_then_else")


def inline_packing(sch: Any) -> None:
    """Inline the copies, and shorten the indices at which their readers then read."""
    for stage in stages(sch):
        if stage.template == TEMPLATE:
            readers = sch.get_consumers(stage.block)
            sch.compute_inline(stage.block)
            for reader in readers:
                _simplify(sch, reader)


def _simplify(sch: Any, block: Any) -> None:
    """Replace indices of tiles by those of rows, and leave out conditions that hold."""
    node = sch.get(block)
    analyzer = sym.Analyzer()
    for axis in node.iter_vars:
        analyzer.bind(axis.var, axis.dom)

    def load(found: Any) -> Any:
        return tirx.BufferLoad(found.source, [analyzer.simplify(index) for index in found.indices])

    def guard(call: Any) -> Any:
        holds = call.op.same_as(_GUARD) and analyzer.can_prove(call.args[0])
        return call.args[1] if holds else call

    body = tvm_ffi.structural_map(node.body, ((ir.TensorLoad, load), (ir.Call, guard)))
    reads = [
        tirx.BufferRegion(
            region.source,
            [ir.Range.from_min_extent(analyzer.simplify(r.min), r.extent) for r in region.region],
        )
        for region in node.reads
    ]
    simpler = s_tir.SBlock(
        node.iter_vars,
        reads,
        node.writes,
        node.name_hint,
        body,
        node.init,
        node.alloc_buffers,
        node.match_buffers,
        node.annotations,
    )
    sch.state.replace(sch.get_sref(block), simpler, {node: simpler})
