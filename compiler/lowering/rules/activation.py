"""Activation functions."""

from collections.abc import Callable

import torch
from torch._ops import OpOverload
from tvm import te, tirx

from ...errors import CompileError
from ...ir.tensor_spec import TensorSpec
from .. import math
from ..math.floats import Lets, at_least, at_most, like
from ..registry import lowers
from .indices import wrap_axis
from .pointwise import Operand, Value, constant, elementwise, pointwise

aten = torch.ops.aten


def _relu(x: Value) -> Value:
    """max(x, 0)."""
    return at_least(like(x, 0), x)


def _relu6(x: Value) -> Value:
    """min(max(x, 0), 6)."""
    return _limit(x, 0, 6)


def _hard_swish(x: Value) -> Value:
    """x * min(max(x + 3, 0), 6) / 6."""
    bind = Lets()
    x = bind(x)
    return bind.close(x * _hard_sigmoid(x))


def _hard_sigmoid(x: Value) -> Value:
    """min(max(x + 3, 0), 6) / 6."""
    return _limit(x + like(x, 3), 0, 6) * like(x, 1 / 6)


_FUNCTIONS: dict[OpOverload, Callable[[Value], Value]] = {
    aten.relu.default: _relu,
    aten.relu6.default: _relu6,
    aten.silu.default: math.silu,
    aten.mish.default: math.mish,
    aten.log_sigmoid.default: math.log_sigmoid,
    aten.hardsigmoid.default: _hard_sigmoid,
    aten.hardswish.default: _hard_swish,
}
for _op, _formula in _FUNCTIONS.items():
    lowers(_op)(elementwise(_formula))


@lowers(aten.log_sigmoid_forward.default)
def log_sigmoid_forward(
    x: te.Tensor, *, out: tuple[TensorSpec, ...]
) -> tuple[te.Tensor, te.Tensor | None]:
    """log(sigmoid(x)); the buffer for training is left out."""
    return pointwise(out[0], (x,), math.log_sigmoid), None


@lowers(aten.gelu.default)
def gelu(x: te.Tensor, *, approximate: str = "none", out: TensorSpec) -> te.Tensor:
    """x * P(a normal variable is below x), exact or by tanh."""
    if approximate not in ("none", "tanh"):
        raise CompileError(f"approximate must be none or tanh, not {approximate!r}")
    return pointwise(out, (x,), math.gelu if approximate == "none" else math.gelu_tanh)


@lowers(aten.hardtanh.default)
def hardtanh(
    x: te.Tensor, min_val: float = -1, max_val: float = 1, *, out: TensorSpec
) -> te.Tensor:
    """x moved into [min_val, max_val]."""
    return pointwise(out, (x,), lambda a: _limit(a, min_val, max_val))


@lowers(aten.clamp.default, aten.clamp.Tensor, aten.clip.default, aten.clip.Tensor)
def clamp(x: te.Tensor, min: Operand = None, max: Operand = None, *, out: TensorSpec) -> te.Tensor:
    """x moved into [min, max], either bound may be missing; max wins."""
    operands = [x, *(bound for bound in (min, max) if bound is not None)]

    def limited(value: Value, *bounds: Value) -> Value:
        rest = list(bounds)
        raised = value if min is None else at_least(rest.pop(0), value)
        return raised if max is None else at_most(rest.pop(0), raised)

    return pointwise(out, operands, limited)


@lowers(aten.clamp_min.default, aten.clamp_min.Tensor)
def clamp_min(x: te.Tensor, min: Operand, *, out: TensorSpec) -> te.Tensor:
    """max(x, min)."""
    return clamp(x, min, out=out)


@lowers(aten.clamp_max.default, aten.clamp_max.Tensor)
def clamp_max(x: te.Tensor, max: Operand, *, out: TensorSpec) -> te.Tensor:
    """min(x, max)."""
    return clamp(x, None, max, out=out)


@lowers(aten.leaky_relu.default)
def leaky_relu(x: te.Tensor, negative_slope: float = 0.01, *, out: TensorSpec) -> te.Tensor:
    """x where it is positive, else negative_slope * x."""
    return pointwise(out, (x,), lambda a: _by_sign(a, a, a * like(a, negative_slope)))


@lowers(aten.prelu.default, aten._prelu_kernel.default)
def prelu(x: te.Tensor, weight: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """x where it is positive, else weight * x; one weight, or one per channel (axis 1)."""
    slope = weight
    if len(weight.shape) == 1 and int(weight.shape[0]) > 1:
        trailing = [1] * (len(out.shape) - 2)
        slope = te.compute(
            (int(weight.shape[0]), *trailing), lambda c, *at: weight(c), name="slope"
        )
    return pointwise(out, (x, slope), lambda a, w: _by_sign(a, a, a * w))


@lowers(aten.elu.default)
def elu(
    x: te.Tensor, alpha: float = 1, scale: float = 1, input_scale: float = 1, *, out: TensorSpec
) -> te.Tensor:
    """scale * x where x is positive, else scale * alpha * (exp(input_scale * x) - 1)."""

    def formula(a: Value) -> Value:
        bind = Lets()
        a = bind(a)
        scaled = _times(a, input_scale)
        below = like(a, scale * alpha) * math.expm1(scaled)
        return bind.close(_by_sign(a, _times(a, scale), below))

    return pointwise(out, (x,), formula)


@lowers(aten.selu.default)
def selu(x: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """`elu` with the constants of Klambauer et al., Self-Normalizing Neural Networks, 2017."""
    return elu(x, 1.6732632423543772, 1.0507009873554805, out=out)


@lowers(aten.celu.default)
def celu(x: te.Tensor, alpha: float = 1, *, out: TensorSpec) -> te.Tensor:
    """x where it is positive, else alpha * (exp(x / alpha) - 1)."""
    return elu(x, alpha, 1, 1 / alpha, out=out)


@lowers(aten.softplus.default)
def softplus(x: te.Tensor, beta: float = 1, threshold: float = 20, *, out: TensorSpec) -> te.Tensor:
    """log(1 + exp(beta * x)) / beta; x where beta * x exceeds the threshold."""

    def formula(a: Value) -> Value:
        bind = Lets()
        a = bind(a)
        scaled = bind(_times(a, beta))
        value = _times(math.softplus(scaled), 1 / beta)
        return bind.close(tirx.Select(scaled > like(a, threshold), a, value))

    return pointwise(out, (x,), formula)


@lowers(aten.hardshrink.default)
def hardshrink(x: te.Tensor, lambd: float = 0.5, *, out: TensorSpec) -> te.Tensor:
    """x, but 0 in [-lambd, lambd]."""
    return pointwise(out, (x,), lambda a: tirx.Select(tirx.abs(a) <= like(a, lambd), like(a, 0), a))


@lowers(aten.softshrink.default)
def softshrink(x: te.Tensor, lambd: float = 0.5, *, out: TensorSpec) -> te.Tensor:
    """x moved towards 0 by lambd, at most to 0."""
    return pointwise(out, (x,), lambda a: a - _limit(a, -lambd, lambd))


@lowers(aten.threshold.default)
def threshold(x: te.Tensor, threshold: float, value: float, *, out: TensorSpec) -> te.Tensor:
    """x above the threshold, else value; NaN stays."""

    def formula(a: Value) -> Value:
        dtype = str(a.ty.dtype)
        return tirx.Select(a <= constant(threshold, dtype), constant(value, dtype), a)

    return pointwise(out, (x,), formula)


@lowers(aten.glu.default)
def glu(x: te.Tensor, dim: int = -1, *, out: TensorSpec) -> te.Tensor:
    """First half * sigmoid(second half) along one axis."""
    axis = wrap_axis(dim, len(out.shape))
    half = out.shape[axis]

    def element(*at: Value) -> Value:
        gate = x(*at[:axis], at[axis] + half, *at[axis + 1 :])
        value = x(*at).astype("float32") if out.dtype in ("float16", "bfloat16") else x(*at)
        return (value * math.sigmoid(gate.astype(value.ty.dtype))).astype(out.dtype)

    return te.compute(out.shape, element, name="glu")


def _limit(x: Value, low: float, high: float) -> Value:
    dtype = str(x.ty.dtype)
    return at_most(constant(high, dtype), at_least(constant(low, dtype), x))


def _by_sign(x: Value, positive: Value, negative: Value) -> Value:
    return tirx.Select(x > like(x, 0), positive, negative)


def _times(x: Value, factor: float) -> Value:
    return x if factor == 1 else x * like(x, factor)
