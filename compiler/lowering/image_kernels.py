"""Kernels that belong to no region: the border around images, and copies that are channels last."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from tvm import te, tirx

from ..ir.layout import Layout, channels_last_shape
from ..ir.tensor_spec import TensorSpec
from .rules.indices import Index, unflatten_index
from .rules.statements import Statements, loop, store

Run = Callable[[Index, int], Any]  # (first element, count) -> statement


def border_kernel(spec: TensorSpec, layout: Layout) -> Any:
    """A PrimFunc that sets the border of a tensor [N, C, ...] stored in `layout` to its value."""
    kernel = Statements()
    buffer = kernel.output((math.prod(layout.storage(spec.shape)),), spec.dtype)
    kernel.add(_border(buffer, spec.shape, layout))
    return te.create_prim_func(kernel.tensors("border"))


def image_kernel(spec: TensorSpec, layout: Layout) -> Any:
    """A PrimFunc that copies a row-major tensor [N, C, ...] to `layout`, but for its border."""
    shape = channels_last_shape(spec.shape)
    plain = te.placeholder(spec.shape, spec.dtype, name="plain")
    image = te.compute(shape, lambda n, *at: plain(n, at[-1], *at[:-1]), name="image")
    func = te.create_prim_func([plain, image])
    return func.with_attr("strides", {"1": list(layout.strides(spec.shape))})


def _border(buffer: Any, shape: Sequence[int], layout: Layout) -> Any:
    """A statement that sets the border of images of a shape [N, C, ...].

    `buffer` has the shape `layout.storage(shape)`, or is the same as one dimension.
    """
    storage = layout.storage(shape)
    sizes = [int(size) for size in buffer.shape]
    fill = tirx.const(layout.fill, str(buffer.dtype))

    def run(first: Index, count: int) -> Any:
        i = tirx.Var("i", "int32")
        return loop(i, 0, count, store(buffer, fill, unflatten_index(first + i, sizes)))

    n = tirx.Var("n", "int32")
    image = math.prod(storage[1:])
    return loop(n, 0, storage[0], _around(n * image, storage[1:], layout, run))


def _around(start: Any, storage: Sequence[int], layout: Layout, run: Run, axis: int = 0) -> Any:
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
