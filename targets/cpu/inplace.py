"""Which inputs of a kernel its result may overwrite."""

from typing import Any

import tvm_ffi
from tvm import DataType

from .stages import Stage, stages, touches


def inplace_pairs(sch: Any, inputs: int) -> tuple[tuple[int, int], ...]:
    """Pairs (input, output) of parameter positions that may share storage.

    An input qualifies if only the stage that stores the kernel's single output reads it, each
    element just before the element of the same position is written.
    """
    params = list(sch.mod["main"].params)
    outputs = params[inputs:]
    found = stages(sch)
    last = found[-1]
    if len(outputs) != 1 or last.kind != "injective" or not last.store.buffer.same_as(outputs[0]):
        return ()
    others = found[:-1]
    return tuple(
        (index, 0)
        for index, buffer in enumerate(params[:inputs])
        if _same_layout(buffer, outputs[0])
        and last.strides(buffer) == last.strides(outputs[0])
        and _reads_its_own_place(last, buffer)
        and not any(touches(other, buffer) for other in others)
    )


def _same_layout(left: Any, right: Any) -> bool:
    sizes = [[int(size) for size in buffer.ty.shape] for buffer in (left, right)]
    bits = [DataType(str(buffer.ty.dtype)).bits for buffer in (left, right)]
    return sizes[0] == sizes[1] and bits[0] == bits[1]


def _reads_its_own_place(stage: Stage, buffer: Any) -> bool:
    loads = [load for load in stage.loads if load.source.same_as(buffer)]
    store = stage.store.indices
    return bool(loads) and all(
        tvm_ffi.structural_equal(tuple(load.indices), tuple(store)) for load in loads
    )
