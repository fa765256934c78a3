"""Fourier transforms as products with matrices of cosines and sines, folded into weights."""

import math
from typing import Any

import torch
from torch.fx import Node

from ...ir.program import node_spec
from .complex_numbers import Complex, add, complexifies, parts
from .emitter import Emitter
from .views import permute, reshaped, shape_of, slice_of

_ATEN = torch.ops.aten


@complexifies(_ATEN._fft_c2c.default)
def complex_to_complex(
    emit: Emitter, x: Any, dims: list[int], normalization: int, forward: bool
) -> Complex:
    """X[k] = sum_n x[n] exp(-+ 2 pi i n k / N) in each dimension."""
    x = x if isinstance(x, Complex) else Complex(x, None)
    points = math.prod(shape_of(x.real)[dim] for dim in dims)
    for dim in dims:
        x = _transform(emit, x, dim, shape_of(x.real)[dim], forward)
    return _scaled(emit, x, _scale(normalization, points))


@complexifies(_ATEN._fft_r2c.default)
def real_to_complex(
    emit: Emitter, x: Node, dims: list[int], normalization: int, onesided: bool
) -> Complex:
    """The same of real values; one-sided, the last of `dims` keeps its first N / 2 + 1 results."""
    points = math.prod(shape_of(x)[dim] for dim in dims)
    *others, last = dims
    size = shape_of(x)[last]
    kept = size // 2 + 1 if onesided else size
    result = _transform(emit, Complex(x, None), last, kept, True)
    for dim in others:
        result = _transform(emit, result, dim, shape_of(x)[dim], True)
    return _scaled(emit, result, _scale(normalization, points))


@complexifies(_ATEN._fft_c2r.default)
def complex_to_real(
    emit: Emitter, x: Complex, dims: list[int], normalization: int, size: int
) -> Node:
    """The inverse of the one-sided form: results that have a mirror image count twice."""
    *others, last = dims
    points = math.prod(shape_of(x.real)[dim] for dim in others) * size
    for dim in others:
        x = _transform(emit, x, dim, shape_of(x.real)[dim], False)
    kept = size // 2 + 1
    counts = _counts(emit, kept, size)
    products = []
    for part, wave in zip(parts(emit, x), _waves(emit, kept, size, size), strict=True):
        matrix = _cast(emit, emit(_ATEN.mul.Tensor, wave, counts), part)
        products.append(_product(emit, slice_of(emit, part, last, 0, kept), matrix, last))
    result = Complex(emit(_ATEN.sub.Tensor, *products), None)
    return _scaled(emit, result, _scale(normalization, points)).real


def _transform(emit: Emitter, x: Complex, dim: int, kept: int, forward: bool) -> Complex:
    """(a + ib)(cos -+ i sin): the first `kept` results of the transform along `dim`."""
    size = shape_of(x.real)[dim]
    cosine, sine = (_cast(emit, wave, x.real) for wave in _waves(emit, size, kept, size))
    a_cos, a_sin = _product(emit, x.real, cosine, dim), _product(emit, x.real, sine, dim)
    b_cos = b_sin = None
    if x.imag is not None:
        b_cos, b_sin = _product(emit, x.imag, cosine, dim), _product(emit, x.imag, sine, dim)
    subtract, plus = _ATEN.sub.Tensor, _ATEN.add.Tensor
    real = add(emit, a_cos, b_sin, plus if forward else subtract)
    if forward:
        return Complex(real, add(emit, b_cos, a_sin, subtract))
    return Complex(real, add(emit, a_sin, b_cos, plus))


def _waves(emit: Emitter, rows: int, columns: int, size: int) -> tuple[Node, Node]:
    """cos and sin of 2 pi n k / size [rows, columns], in double precision."""
    n = reshaped(emit, emit(_ATEN.arange.default, rows), (rows, 1))
    k = reshaped(emit, emit(_ATEN.arange.default, columns), (1, columns))
    turns = emit(_ATEN.remainder.Scalar, emit(_ATEN.mul.Tensor, n, k), size)
    exact = emit(_ATEN._to_copy.default, turns, dtype=torch.float64)
    angle = emit(_ATEN.mul.Tensor, exact, 2 * math.pi / size)
    return emit(_ATEN.cos.default, angle), emit(_ATEN.sin.default, angle)


def _counts(emit: Emitter, kept: int, size: int) -> Node:
    """How often each of the kept results stands in the whole transform, [kept, 1]."""
    mirrored = size - kept  # the first and, for even sizes, the last have no mirror image
    columns = [emit(_ATEN.full.default, [1, 1], 1.0, dtype=torch.float64)]
    columns.append(emit(_ATEN.full.default, [mirrored, 1], 2.0, dtype=torch.float64))
    rest = kept - 1 - mirrored
    columns.append(emit(_ATEN.full.default, [rest, 1], 1.0, dtype=torch.float64))
    return emit(_ATEN.cat.default, columns)


def _cast(emit: Emitter, matrix: Node, like: Node) -> Node:
    dtype = node_spec(like).torch_dtype
    is_double = dtype == torch.float64
    return matrix if is_double else emit(_ATEN._to_copy.default, matrix, dtype=dtype)


def _product(emit: Emitter, x: Node, matrix: Node, dim: int) -> Node:
    """`x` with its dimension `dim` multiplied by `matrix`."""
    rank = len(shape_of(x))
    dim %= rank
    order = list(range(rank))
    order[dim], order[-1] = order[-1], order[dim]
    product = emit(_ATEN.matmul.default, permute(emit, x, order), matrix)
    return permute(emit, product, order)


def _scale(normalization: int, points: int) -> float:
    """PyTorch's numbers for the three kinds of normalization."""
    return (1.0, 1 / math.sqrt(points), 1 / points)[normalization]


def _scaled(emit: Emitter, x: Complex, scale: float) -> Complex:
    if scale == 1:
        return x
    real, imag = (n if n is None else emit(_ATEN.mul.Tensor, n, scale) for n in (x.real, x.imag))
    assert real is not None
    return Complex(real, imag)
