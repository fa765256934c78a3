"""The operators `penjing::exact_*`: functions of real numbers between integer operators.

float32 in, float32 out. Everything is single IEEE operations in one order; docs/quantization.md
has the formulas. Numbers below 2^-126 may be 0 on 32-bit ARM.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from ..quantization.define import operator
from .functions import FUNCTIONS, Number, Numbers, exp
from .tensors import TensorNumbers, row_sum, square_root

_NUMBERS = TensorNumbers()
_POINTWISE = (torch.Tag.pointwise,)


def _like(x: Tensor, *_: object) -> Tensor:
    return x.new_empty(x.shape)


def _pair(x: Tensor, y: Tensor) -> Tensor:
    return x.new_empty(torch.broadcast_shapes(x.shape, y.shape))


def _rows(x: Tensor) -> Tensor:
    return x.new_empty(x.shape[:-1])


def _apply(function: Callable[[Number, Numbers], Number], x: Tensor) -> Tensor:
    result: Tensor = function(x, _NUMBERS)
    return result


for _name, _function in FUNCTIONS.items():
    operator(f"exact_{_name}(Tensor x)", _like, _POINTWISE)(partial(_apply, _function))


@operator("exact_product(Tensor x, Tensor y)", _pair, _POINTWISE)
def exact_product(x: Tensor, y: Tensor) -> Tensor:
    """x * y, rounded before anything is added to it."""
    return x * y


@operator("exact_mean(Tensor x)", _rows)
def exact_mean(x: Tensor) -> Tensor:
    """`row_sum` of the last axis, times 1 / n; that axis goes away."""
    return (row_sum(x) * (1 / x.shape[-1])).squeeze(-1)


@operator("exact_softmax(Tensor x)", _like)
def exact_softmax(x: Tensor) -> Tensor:
    """exp(x - max) * (1 / row_sum(exp(x - max))) along the last axis."""
    powers: Tensor = exp(x - x.amax(-1, keepdim=True), _NUMBERS)
    return powers * (1.0 / row_sum(powers))


@operator("exact_layer_norm(Tensor x, Tensor? weight, Tensor? bias, int axes, float eps)", _like)
def exact_layer_norm(
    x: Tensor, weight: Tensor | None, bias: Tensor | None, axes: int, eps: float
) -> Tensor:
    """(x - mean) * scale * weight + bias over the last `axes` axes, from the left.

    mean = row_sum(x) * (1 / n), scale = 1 / sqrt(row_sum((x - mean)^2) * (1 / n) + eps); 1 / n
    and eps are rounded to float32.
    """
    rows = x.flatten(-axes)
    centered = rows - row_sum(rows) * (1 / rows.shape[-1])
    scale = _inverse_root(row_sum(centered * centered), rows.shape[-1], eps)
    return _affine((centered * scale).reshape(x.shape), weight, bias)


@operator("exact_rms_norm(Tensor x, Tensor? weight, int axes, float eps)", _like)
def exact_rms_norm(x: Tensor, weight: Tensor | None, axes: int, eps: float) -> Tensor:
    """x * scale * weight over the last `axes` axes, from the left.

    scale = 1 / sqrt(row_sum(x^2) * (1 / n) + eps).
    """
    rows = x.flatten(-axes)
    scale = _inverse_root(row_sum(rows * rows), rows.shape[-1], eps)
    return _affine((rows * scale).reshape(x.shape), weight, None)


def _inverse_root(total: Tensor, count: int, eps: float) -> Tensor:
    return 1.0 / square_root(total * (1 / count) + eps)


def _affine(value: Tensor, weight: Tensor | None, bias: Tensor | None) -> Tensor:
    scaled = value if weight is None else value * weight
    return scaled if bias is None else scaled + bias
