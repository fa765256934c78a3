"""Outer and bilinear products."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from tvm import te

from ...ir.tensor_spec import TensorSpec
from ..registry import lowers
from .gemm import accumulator, broadcast_read
from .indices import Index, shape_of

aten = torch.ops.aten


@lowers(aten.outer.default, aten.ger.default)
def outer(x: te.Tensor, y: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """out[m,n] = x[m] * y[n]."""
    return te.compute(
        out.shape, lambda m, n: x(m).astype(out.dtype) * y(n).astype(out.dtype), name="outer"
    )


@lowers(aten.bilinear.default)
def bilinear(
    x: te.Tensor, y: te.Tensor, w: te.Tensor, b: te.Tensor | None = None, *, out: TensorSpec
) -> te.Tensor:
    """out[...,o] = sum_ij x[...,i] * w[o,i,j] * y[...,j] + b[o]."""
    dtype = accumulator(out.dtype)
    _, rows, columns = shape_of(w)
    i, j = te.reduce_axis((0, rows), name="i"), te.reduce_axis((0, columns), name="j")

    def element(*at: Index) -> Any:
        *lead, o = at
        factors = x(*lead, i), w(o, i, j), y(*lead, j)
        return te.sum(math.prod(f.astype(dtype) for f in factors), axis=[i, j])

    total = te.compute(out.shape, element, name="bilinear")
    if b is None:
        return te.compute(out.shape, lambda *at: total(*at).astype(out.dtype), name="out")
    return te.compute(
        out.shape, lambda *at: (total(*at) + b(at[-1]).astype(dtype)).astype(out.dtype), name="out"
    )


@lowers(aten._trilinear.default)
def trilinear(
    x: te.Tensor,
    y: te.Tensor,
    z: te.Tensor,
    expand1: Sequence[int],
    expand2: Sequence[int],
    expand3: Sequence[int],
    sumdim: Sequence[int],
    unroll_dim: int = 1,
    *,
    out: TensorSpec,
) -> te.Tensor:
    """The product of three tensors, each with new axes `expandN`, summed over axes `sumdim`."""
    operands = [(x, expand1), (y, expand2), (z, expand3)]
    rank = len(x.shape) + len(expand1)
    sizes = [1] * rank
    for tensor, added in operands:
        for axis, size in zip(_kept(rank, added), shape_of(tensor), strict=True):
            sizes[axis] = max(sizes[axis], size)
    reduced = {axis: te.reduce_axis((0, sizes[axis])) for axis in sorted(sumdim)}
    dtype = accumulator(out.dtype)

    def element(*at: Index) -> Any:
        rest = iter(at)
        full = [reduced[axis] if axis in reduced else next(rest) for axis in range(rank)]
        reads = (
            broadcast_read(tensor, [full[axis] for axis in _kept(rank, added)])
            for tensor, added in operands
        )
        return te.sum(math.prod(r.astype(dtype) for r in reads), axis=list(reduced.values()))

    total = te.compute(out.shape, element, name="trilinear")
    return te.compute(out.shape, lambda *at: total(*at).astype(out.dtype), name="out")


def _kept(rank: int, added: Sequence[int]) -> list[int]:
    """The axes of a result of that rank which are not among the new ones."""
    return [axis for axis in range(rank) if axis not in added]
