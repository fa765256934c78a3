"""Softmax and the norms: rows are reduced, then every element is scaled by what they gave."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from tvm import te, tirx

from ..errors import CompileError
from ..tensor_spec import TensorSpec
from .builder import KernelBuilder
from .gemm import accumulator
from .indices import Index, shape_of, wrap_axis
from .math import exp, log, rsqrt
from .registry import lowers
from .row_reduction import row_notes, row_reduce

aten = torch.ops.aten


@lowers(aten.softmax.int, aten._softmax.default)
def softmax(
    x: te.Tensor, dim: int, dtype: Any = None, *, out: TensorSpec, kernel: KernelBuilder
) -> te.Tensor:
    """exp(x - max) / sum(exp(x - max)) along one axis; `dtype` is that of `out`."""
    axis, wide = wrap_axis(dim, len(out.shape)), _widened(x, out)
    maxima = _reduce(wide, axis, "max", kernel)
    powers = _exponentials(wide, maxima, axis)
    shares = _per_row(
        _reduce(powers, axis, "sum", kernel), lambda total: _like(total, 1) / total, "shares"
    )
    return _result(out, lambda at: powers(*at) * shares(*_row(at, axis)))


@lowers(aten.log_softmax.int, aten._log_softmax.default)
def log_softmax(
    x: te.Tensor, dim: int, dtype: Any = None, *, out: TensorSpec, kernel: KernelBuilder
) -> te.Tensor:
    """x - max - log(sum(exp(x - max))) along one axis."""
    axis, wide = wrap_axis(dim, len(out.shape)), _widened(x, out)
    maxima = _reduce(wide, axis, "max", kernel)
    total = _reduce(_exponentials(wide, maxima, axis), axis, "sum", kernel)
    logs = _per_row(total, log, "logs")

    def element(at: Sequence[Index]) -> Any:
        row = _row(at, axis)
        return wide(*at) - maxima(*row) - logs(*row)

    return _result(out, element)


@lowers(aten.layer_norm.default)
def layer_norm(
    x: te.Tensor,
    normalized_shape: Sequence[int],
    weight: te.Tensor | None = None,
    bias: te.Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enable: bool = True,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last axes; var in a second pass."""
    count, wide = len(normalized_shape), _widened(x, out)
    mean, scale = _moments(wide, count, eps, kernel)

    def element(at: Sequence[Index]) -> Any:
        row = at[: len(at) - count]
        value = (wide(*at) - mean(*row)) * scale(*row)
        return _affine(value, weight, bias, at[len(at) - count :])

    return _result(out, element)


@lowers(aten.native_layer_norm.default)
def native_layer_norm(
    x: te.Tensor,
    normalized_shape: Sequence[int],
    weight: te.Tensor | None,
    bias: te.Tensor | None,
    eps: float,
    *,
    out: tuple[TensorSpec, ...],
    kernel: KernelBuilder,
) -> tuple[te.Tensor, te.Tensor, te.Tensor]:
    """As `layer_norm`, with the mean and 1 / sqrt(var + eps) of each row."""
    count = len(normalized_shape)
    result = layer_norm(x, normalized_shape, weight, bias, eps, out=out[0], kernel=kernel)
    mean, scale = _moments(_widened(x, out[0]), count, eps, kernel)

    def per_row(source: te.Tensor, spec: TensorSpec) -> te.Tensor:
        rows = len(spec.shape) - count
        return _result(spec, lambda at: source(*at[:rows]))

    return result, per_row(mean, out[1]), per_row(scale, out[2])


@lowers(aten.rms_norm.default)
def rms_norm(
    x: te.Tensor,
    normalized_shape: Sequence[int],
    weight: te.Tensor | None = None,
    eps: float | None = None,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last axes; eps is the dtype's own by default."""
    count, wide = len(normalized_shape), _widened(x, out)
    small = torch.finfo(out.torch_dtype).eps if eps is None else eps
    squares = _elements(wide, lambda at: wide(*at) * wide(*at), "squares")
    size = math.prod(normalized_shape)
    scale = _per_row(
        row_reduce(squares, count, "sum", kernel),
        lambda total: _inverse_root(total, size, small),
        "scale",
    )

    def element(at: Sequence[Index]) -> Any:
        value = wide(*at) * scale(*at[: len(at) - count])
        return _affine(value, weight, None, at[len(at) - count :])

    return _result(out, element)


@lowers(aten.group_norm.default)
def group_norm(
    x: te.Tensor,
    num_groups: int,
    weight: te.Tensor | None = None,
    bias: te.Tensor | None = None,
    eps: float = 1e-5,
    cudnn_enabled: bool = True,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """`layer_norm` over the channels of each group and all positions; affine per channel."""
    images, channels, *space = shape_of(x)
    own, wide = channels // num_groups, _widened(x, out)
    grouped = te.compute(
        (images, num_groups, own, *space),
        lambda n, g, c, *at: wide(n, g * own + c, *at),
        name="grouped",
    )
    mean, scale = _moments(grouped, 1 + len(space), eps, kernel, tagged=False)

    def element(at: Sequence[Index]) -> Any:
        row = (at[0], tirx.floordiv(at[1], own))
        value = (wide(*at) - mean(*row)) * scale(*row)
        return _affine(value, weight, bias, at[1:2])

    return _result(out, element)


@lowers(aten.instance_norm.default)
def instance_norm(
    x: te.Tensor,
    weight: te.Tensor | None,
    bias: te.Tensor | None,
    running_mean: te.Tensor | None,
    running_var: te.Tensor | None,
    use_input_stats: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """`group_norm` with one channel in each group, or `batch_norm` with running statistics."""
    if use_input_stats:
        return group_norm(x, int(x.shape[1]), weight, bias, eps, out=out, kernel=kernel)
    return batch_norm(x, weight, bias, running_mean, running_var, False, momentum, eps, out=out)


@lowers(aten.batch_norm.default)
def batch_norm(
    x: te.Tensor,
    weight: te.Tensor | None,
    bias: te.Tensor | None,
    running_mean: te.Tensor | None,
    running_var: te.Tensor | None,
    training: bool,
    momentum: float,
    eps: float,
    cudnn_enabled: bool = True,
    *,
    out: TensorSpec,
) -> te.Tensor:
    """(x - running_mean) / sqrt(running_var + eps) * weight + bias, each per channel (axis 1)."""
    if training or running_mean is None or running_var is None:
        raise CompileError(
            "batch norm needs its running statistics: those of a batch are for training",
            fix="call model.eval(), and keep track_running_stats=True",
        )
    dtype = accumulator(out.dtype)
    scale = te.compute(
        running_var.shape,
        lambda c: _inverse_root(running_var(c).astype(dtype), 1, eps),
        name="scale",
        attrs={"schedule": "stored"},
    )

    def element(at: Sequence[Index]) -> Any:
        channel = at[1]
        value = (x(*at).astype(dtype) - running_mean(channel).astype(dtype)) * scale(channel)
        return _affine(value, weight, bias, at[1:2])

    return _result(out, element)


@lowers(aten._native_batch_norm_legit_no_training.default)
def native_batch_norm(
    x: te.Tensor,
    weight: te.Tensor | None,
    bias: te.Tensor | None,
    running_mean: te.Tensor,
    running_var: te.Tensor,
    momentum: float,
    eps: float,
    *,
    out: tuple[TensorSpec, ...],
) -> tuple[te.Tensor, None, None]:
    """As `batch_norm`; what it would save for training is left out."""
    result = batch_norm(
        x, weight, bias, running_mean, running_var, False, momentum, eps, out=out[0]
    )
    return result, None, None


def _moments(
    x: te.Tensor, count: int, eps: float, kernel: KernelBuilder, *, tagged: bool = True
) -> tuple[te.Tensor, te.Tensor]:
    """Mean and 1 / sqrt(variance + eps) over the last `count` axes."""
    rows = len(x.shape) - count
    size = math.prod(shape_of(x)[rows:])
    total = row_reduce(x, count, "sum", kernel, tagged=tagged)
    mean = _per_row(total, lambda value: value * _like(value, 1 / size), "mean", tagged=tagged)

    def squared(at: Sequence[Index]) -> Any:
        centered = x(*at) - mean(*at[:rows])
        return centered * centered

    squares = row_reduce(_elements(x, squared, "squares"), count, "sum", kernel, tagged=tagged)
    scale = _per_row(squares, lambda value: _inverse_root(value, size, eps), "scale", tagged=tagged)
    return mean, scale


def _inverse_root(total: Any, size: int, eps: float) -> Any:
    return rsqrt(total * _like(total, 1 / size) + _like(total, eps))


def _affine(
    value: Any, weight: te.Tensor | None, bias: te.Tensor | None, at: Sequence[Index]
) -> Any:
    """value * weight + bias, where they exist."""
    dtype = value.ty.dtype
    scaled = value if weight is None else value * weight(*at).astype(dtype)
    return scaled if bias is None else scaled + bias(*at).astype(dtype)


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


def _per_row(
    x: te.Tensor, value: Callable[[Any], Any], name: str, *, tagged: bool = True
) -> te.Tensor:
    notes = row_notes(len(x.shape)) if tagged else {}
    return te.compute(x.shape, lambda *row: value(x(*row)), name=name, attrs=notes)


def _elements(x: te.Tensor, value: Callable[[Sequence[Index]], Any], name: str) -> te.Tensor:
    return te.compute(x.shape, lambda *at: value(at), name=name)


def _widened(x: te.Tensor, out: TensorSpec) -> te.Tensor:
    """x in the dtype to compute in."""
    dtype = accumulator(out.dtype)
    if str(x.dtype) == dtype:
        return x
    return te.compute(x.shape, lambda *at: x(*at).astype(dtype), name="wide")


def _result(out: TensorSpec, value: Callable[[Sequence[Index]], Any]) -> te.Tensor:
    return te.compute(out.shape, lambda *at: value(at).astype(out.dtype), name="result")


def _like(value: Any, constant: float) -> Any:
    return tirx.const(constant, value.ty.dtype)
