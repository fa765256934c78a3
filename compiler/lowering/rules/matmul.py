"""Products of vectors, matrices and batches of them."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from tvm import te

from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..registry import lowers
from .gemm import (
    Finish,
    RightOperand,
    accumulate,
    accumulator,
    broadcast_read,
    finished,
    flat_product,
    right_operand,
    row_sums,
)
from .indices import Index, shape_of

aten = torch.ops.aten


@lowers(
    aten.matmul.default,
    aten.mm.default,
    aten.bmm.default,
    aten.mv.default,
    aten.dot.default,
    aten.vdot.default,
)
def matmul(
    x: te.Tensor,
    y: te.Tensor,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
    finish: Finish | None = None,
) -> te.Tensor:
    """out[...,m,n] = sum_k x[...,m,k] * y[...,k,n]; a vector x has no m, a vector y no n.

    `finish` is applied to the sums while they are written.
    """
    if len(y.shape) == 1:
        return row_sums(x, lambda k: y(k), out, kernel, finish)
    if len(y.shape) == 2 and int(y.shape[1]) == 1:
        return row_sums(x, lambda k: y(k, 0), out, kernel, finish)
    if len(y.shape) == 2:
        rows = math.prod(shape_of(x)[:-1])
        right = right_operand(y, kernel, k_last=False, rows=rows)
        return flat_product(x, right, out, finish)
    right = right_operand(y, kernel, k_last=False, rows=(1, *shape_of(x))[-2])
    return _batched(x, y, right, out, finish)


def _batched(
    x: te.Tensor, y: te.Tensor, right: RightOperand, out: TensorSpec, finish: Finish | None
) -> te.Tensor:
    """Batch axes of x [..., m, k] (or [k]) and y broadcast; y has at least one."""
    rows, depth = (1, *shape_of(x))[-2:]
    batches = out.shape[: -2 if len(x.shape) > 1 else -1]

    def left(batch: Sequence[Index], m: Index, k: Index) -> Any:
        return broadcast_read(x, (*batch, m, k)) if len(x.shape) > 1 else x(k)

    dtype = right.sums or accumulator(out.dtype)
    total = accumulate(left, right, (rows, depth), dtype, batches)

    def read(at: Sequence[Index]) -> Any:
        return total(*at) if len(x.shape) > 1 else total(*at[:-1], 0, at[-1])

    return finished(read, out, finish)
