"""Distances between all pairs of two sets of vectors."""

import math
from typing import Any

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..math import sqrt
from ..math.power import constant_power
from ..registry import lowers
from .gemm import broadcast_read
from .indices import Index

aten = torch.ops.aten


@lowers(aten.cdist.default, aten._cdist_forward.default)
def cdist(
    x: te.Tensor,
    y: te.Tensor,
    p: float = 2.0,
    compute_mode: int | None = None,
    *,
    out: TensorSpec,
) -> te.Tensor:
    """out[...,m,n] = (sum_k |x[...,m,k] - y[...,n,k]|^p)^(1/p), batch axes broadcast.

    p = 0 counts the elements that differ, p = inf takes the largest difference.
    """
    k = te.reduce_axis((0, int(x.shape[-1])), name="k")

    def element(*at: Index) -> Any:
        *batch, m, n = at
        gap = tirx.abs(broadcast_read(x, (*batch, m, k)) - broadcast_read(y, (*batch, n, k)))
        return te.max(gap, axis=k) if math.isinf(p) else te.sum(_power(gap, p), axis=k)

    total = te.compute(out.shape, element, name="distance")
    return te.compute(out.shape, lambda *at: _root(total(*at), p), name="output")


def _power(gap: Any, p: float) -> Any:
    if p == 0:
        return tirx.Cast(gap.ty.dtype, gap > 0)
    if p == 1:
        return gap
    return gap * gap if p == 2 else constant_power(gap, p)


def _root(total: Any, p: float) -> Any:
    if p in (0, 1, math.inf):
        return total
    return sqrt(total) if p == 2 else constant_power(total, 1 / p)
