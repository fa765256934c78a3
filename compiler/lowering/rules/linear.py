"""Fully connected layers: a product of matrices with something added."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from tvm import te, tirx

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
from .matmul import matmul

aten = torch.ops.aten


@lowers(aten.linear.default)
def linear(
    x: te.Tensor,
    w: te.Tensor,
    b: te.Tensor | None = None,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """y[...,n] = sum_k x[...,k] * w[n,k] + b[n]; w and out without n if w is a vector."""
    finish = None if b is None else _add(b)
    if len(w.shape) == 1:
        return row_sums(x, lambda k: w(k), out, kernel, finish)
    if int(w.shape[0]) == 1:
        return row_sums(x, lambda k: w(0, k), out, kernel, finish)
    rows = math.prod(shape_of(x)[:-1])
    return flat_product(x, right_operand(w, kernel, k_last=True, rows=rows), out, finish)


@lowers(aten.addmm.default, aten.addmv.default, aten.baddbmm.default)
def addmm(
    c: te.Tensor,
    x: te.Tensor,
    y: te.Tensor,
    *,
    beta: float = 1,
    alpha: float = 1,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """The sum beta * c + alpha * (x @ y), c broadcast; with beta = 0 c is not read."""
    return matmul(x, y, out=out, kernel=kernel, finish=_scale_and_add(c, beta, alpha))


@lowers(aten.addbmm.default)
def addbmm(
    c: te.Tensor,
    x: te.Tensor,
    y: te.Tensor,
    *,
    beta: float = 1,
    alpha: float = 1,
    out: TensorSpec,
) -> te.Tensor:
    """The sum beta * c + alpha * sum_b x[b] @ y[b], as one product over all pairs of b and k."""
    batches, rows, depth = shape_of(x)

    def left(batch: Sequence[Index], m: Index, k: Index) -> Any:
        return x(tirx.floordiv(k, depth), m, tirx.floormod(k, depth))

    def read(batch: Sequence[Index], k: Index, n: Index) -> Any:
        return y(tirx.floordiv(k, depth), tirx.floormod(k, depth), n)

    right = RightOperand(int(y.shape[-1]), read)
    total = accumulate(left, right, (rows, batches * depth), accumulator(out.dtype))
    return finished(lambda at: total(*at), out, _scale_and_add(c, beta, alpha))


def _add(bias: te.Tensor) -> Finish:
    return lambda value, at: value + broadcast_read(bias, at).astype(value.ty.dtype)


def _scale_and_add(c: te.Tensor, beta: float, alpha: float) -> Finish:
    def finish(value: Any, at: Sequence[Index]) -> Any:
        dtype = str(value.ty.dtype)
        scaled = value if alpha == 1 else value * tirx.const(alpha, dtype)
        if beta == 0:
            return scaled
        added = broadcast_read(c, at).astype(dtype)
        return scaled + (added if beta == 1 else added * tirx.const(beta, dtype))

    return finish
