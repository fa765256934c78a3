"""Softmax and its logarithm."""

from collections.abc import Sequence
from typing import Any

import torch
from tvm import te

from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..math import exp, log
from ..math.floats import like
from ..registry import lowers
from .indices import Index, shape_of, wrap_axis
from .moments import per_row, result, widened
from .row_reduction import row_notes, row_reduce

aten = torch.ops.aten


@lowers(aten.softmax.int, aten._softmax.default)
def softmax(
    x: te.Tensor, dim: int, dtype: Any = None, *, out: TensorSpec, kernel: KernelBuilder
) -> te.Tensor:
    """exp(x - max) / sum(exp(x - max)) along one axis; `dtype` is that of `out`."""
    if not out.shape:
        return result(out, lambda at: like(x(), 1))
    axis, wide = wrap_axis(dim, len(out.shape)), widened(x, out)
    maxima = _reduce(wide, axis, "max", kernel)
    powers = _exponentials(wide, maxima, axis)
    shares = per_row(
        _reduce(powers, axis, "sum", kernel), lambda total: like(total, 1) / total, "shares"
    )
    return result(out, lambda at: powers(*at) * shares(*_row(at, axis)))


@lowers(aten.log_softmax.int, aten._log_softmax.default)
def log_softmax(
    x: te.Tensor, dim: int, dtype: Any = None, *, out: TensorSpec, kernel: KernelBuilder
) -> te.Tensor:
    """x - max - log(sum(exp(x - max))) along one axis."""
    if not out.shape:
        return result(out, lambda at: like(x(), 0))
    axis, wide = wrap_axis(dim, len(out.shape)), widened(x, out)
    maxima = _reduce(wide, axis, "max", kernel)
    total = _reduce(_exponentials(wide, maxima, axis), axis, "sum", kernel)
    logs = per_row(total, log, "logs")

    def element(at: Sequence[Index]) -> Any:
        row = _row(at, axis)
        return wide(*at) - maxima(*row) - logs(*row)

    return result(out, element)


def _reduce(x: te.Tensor, axis: int, combine: str, kernel: KernelBuilder) -> te.Tensor:
    """One axis reduced to none."""
    if axis == len(x.shape) - 1:
        return row_reduce(x, 1, combine, kernel)
    sizes = shape_of(x)
    k = te.reduce_axis((0, sizes[axis]), name="k")
    operator = te.max if combine == "max" else te.sum

    def element(*at: Index) -> Any:
        return operator(x(*at[:axis], k, *at[axis:]), axis=k)

    return te.compute((*sizes[:axis], *sizes[axis + 1 :]), element, name=combine)


def _exponentials(x: te.Tensor, maxima: te.Tensor, axis: int) -> te.Tensor:
    """exp(x - max), kept because it is read twice."""
    last = axis == len(x.shape) - 1
    notes = row_notes(axis) if last else {}
    return te.compute(
        x.shape, lambda *at: exp(x(*at) - maxima(*_row(at, axis))), name="powers", attrs=notes
    )


def _row(at: Sequence[Index], axis: int) -> list[Index]:
    return [*at[:axis], *at[axis + 1 :]]
