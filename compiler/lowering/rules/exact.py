"""The exact functions of real numbers: what `compiler/exact/ops.py` computes, bit by bit.

No product is joined with a sum here, and rows are added in the same order on every target.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
from tvm import te

from ...exact import ops as ops
from ...exact.functions import FUNCTIONS, exp
from ...exact.tensors import partial_width
from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..math import sqrt
from ..math.exact import exactly
from ..math.floats import like, rounded
from ..registry import lowers
from .indices import Index, shape_of
from .moments import elements, per_row, result
from .pointwise import elementwise, pointwise
from .row_reduction import row_notes, row_reduce

penjing = torch.ops.penjing

for _name, _function in FUNCTIONS.items():
    _operator = getattr(penjing, f"exact_{_name}").default
    lowers(_operator)(elementwise(partial(exactly, _function), _function.__doc__ or ""))


@lowers(penjing.exact_product.default)
def exact_product(x: te.Tensor, y: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """x * y, rounded before anything is added to it."""
    return pointwise(out, (x, y), lambda a, b: rounded(a * b))


@lowers(penjing.exact_mean.default)
def exact_mean(x: te.Tensor, *, out: TensorSpec, kernel: KernelBuilder) -> te.Tensor:
    """sum(x) * (1 / n) over the last axis."""
    return _mean(x, 1, kernel)


@lowers(penjing.exact_softmax.default)
def exact_softmax(x: te.Tensor, *, out: TensorSpec, kernel: KernelBuilder) -> te.Tensor:
    """exp(x - max) / sum(exp(x - max)) along the last axis."""
    rows = len(x.shape) - 1
    maxima = row_reduce(x, 1, "max", kernel)

    def power(*at: Index) -> Any:
        return exactly(exp, x(*at) - maxima(*at[:rows]))

    # kept because it is read twice
    powers = te.compute(x.shape, power, name="powers", attrs=row_notes(rows))
    shares = per_row(_row_sum(powers, 1, kernel), lambda total: like(total, 1) / total, "shares")
    return result(out, lambda at: rounded(powers(*at) * shares(*at[:rows])))


@lowers(penjing.exact_layer_norm.default)
def exact_layer_norm(
    x: te.Tensor,
    weight: te.Tensor | None,
    bias: te.Tensor | None,
    axes: int,
    eps: float,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axes; var in a second pass."""
    rows, mean = len(x.shape) - axes, _mean(x, axes, kernel)

    def centered(at: Sequence[Index]) -> Any:
        return x(*at) - mean(*at[:rows])

    return _scaled(centered, x, weight, bias, axes, eps, out, kernel)


@lowers(penjing.exact_rms_norm.default)
def exact_rms_norm(
    x: te.Tensor,
    weight: te.Tensor | None,
    axes: int,
    eps: float,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last axes."""
    return _scaled(lambda at: x(*at), x, weight, None, axes, eps, out, kernel)


def _scaled(
    value: Callable[[Sequence[Index]], Any],
    x: te.Tensor,
    weight: te.Tensor | None,
    bias: te.Tensor | None,
    axes: int,
    eps: float,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """value / sqrt(mean(value^2) + eps) * weight + bias, value(at) of the shape of x."""
    rows = len(x.shape) - axes
    squares = elements(x, lambda at: rounded(value(at) * value(at)), "squares")
    count = _row_size(x, axes)

    def inverse_root(total: Any) -> Any:
        mean = rounded(total * like(total, 1 / count))
        return like(total, 1) / sqrt(mean + like(total, eps))

    scale = per_row(_row_sum(squares, axes, kernel), inverse_root, "scale")

    def element(at: Sequence[Index]) -> Any:
        normal, place = rounded(value(at) * scale(*at[:rows])), at[rows:]
        scaled = normal if weight is None else rounded(normal * weight(*place))
        return scaled if bias is None else scaled + bias(*place)

    return result(out, element)


def _mean(x: te.Tensor, axes: int, kernel: KernelBuilder) -> te.Tensor:
    share = 1 / _row_size(x, axes)
    total = _row_sum(x, axes, kernel)
    return per_row(total, lambda value: rounded(value * like(value, share)), "mean")


def _row_sum(x: te.Tensor, axes: int, kernel: KernelBuilder) -> te.Tensor:
    width = partial_width(_row_size(x, axes))
    return row_reduce(x, axes, "sum", kernel, width=width)


def _row_size(x: te.Tensor, axes: int) -> int:
    return torch.Size(shape_of(x)[len(x.shape) - axes :]).numel()
