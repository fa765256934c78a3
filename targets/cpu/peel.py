"""Loops whose last iteration is partial -> a loop of whole iterations, then the last one.

This stands for `s_tir.LoopPartition`, which splits a loop by every condition in its body. Where a
condition also depends on an outer loop, its parts may have bounds outside the loop: they then
write outside the buffer.
"""

from typing import Any

import tvm_ffi
from tvm import ir, tirx

from .vector_tails import split_vectors

HINT = "pragma_loop_partition_hint"  # annotation of the loops to peel
PEEL, PEEL_LANES = 1, 2  # its values; the latter: what the loop does in each lane is independent


def peel_last_iterations(func: Any) -> Any:
    """Move the last iteration of each annotated loop behind it, where its predicate stays."""
    body = tvm_ffi.structural_map(func.body, (tirx.AttrStmt, _peel))
    return tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)


def _peel(note: Any) -> Any:
    if note.attr_key != HINT:
        return note
    loop = note.body
    last = tirx.const(int(loop.extent) - 1, "int32")
    whole = tirx.For(loop.loop_var, loop.min, last, loop.kind, loop.body)
    rest = tvm_ffi.structural_map(
        loop.body, (ir.Var, lambda var: last if var.same_as(loop.loop_var) else var)
    )
    parts = split_vectors(rest) if int(note.value) == PEEL_LANES else [rest]
    return tirx.SeqStmt([whole, *parts])
