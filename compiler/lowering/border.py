"""The kernel that writes the border around images."""

import math
from collections.abc import Sequence
from typing import Any

from tvm import te, tirx

from ...targets.cpu.schedule import Scheduled
from ..ir.layout import Layout
from ..ir.tensor_spec import TensorSpec
from .rules.statements import Statements, loop, store


def border_kernel(spec: TensorSpec, layout: Layout) -> Scheduled:
    """A kernel that sets the border of a tensor [N, C, ...] stored in `layout` to its value."""
    storage = layout.storage(spec.shape)
    kernel = Statements()
    buffer = kernel.output((math.prod(storage),), spec.dtype)
    fill = tirx.const(layout.fill, spec.dtype)

    def run(first: Any, count: int) -> Any:
        i = tirx.Var("i", "int32")
        return loop(i, 0, count, store(buffer, fill, [first + i]))

    n = tirx.Var("n", "int32")
    image = math.prod(storage[1:])
    around = _around(n * image, storage[1:], layout, run)
    kernel.add(loop(n, 0, storage[0], around))
    return Scheduled(te.create_prim_func(kernel.tensors("border")), ())


def _around(start: Any, storage: Sequence[int], layout: Layout, run: Any, axis: int = 0) -> Any:
    """Statements for one slice [rows from `axis` on, C] of an image that begins at `start`."""
    stride = math.prod(storage[axis + 1 :])
    before, after = layout.before[axis], layout.after[axis]
    rows = storage[axis] - before - after
    parts = []
    if before:
        parts.append(run(start, before * stride))
    if any(layout.before[axis + 1 :]) or any(layout.after[axis + 1 :]):
        row = tirx.Var(f"row{axis}", "int32")
        first = start + (row + before) * stride
        parts.append(loop(row, 0, rows, _around(first, storage, layout, run, axis + 1)))
    if after:
        parts.append(run(start + (before + rows) * stride, after * stride))
    return tirx.SeqStmt(parts) if len(parts) > 1 else parts[0]
