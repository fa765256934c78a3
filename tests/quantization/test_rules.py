"""The kernels of the integer operators give the operators' own bytes, extremes included."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode

from penjing.compiler.quantization import ops  # noqa: F401  (registers penjing)
from penjing.compiler.quantization.attention import AttentionPlan
from penjing.compiler.quantization.normalization import NormalizationPlan
from penjing.compiler.quantization.scales import Affine, PairSum, QuantizedRange, Rescaling
from penjing.compiler.quantization.softmax import SoftmaxPlan

from ..lowering import harness
from ..lowering.harness import Weight
from ..lowering.samples import FEW, SIZES
from .samples import FILLS, SCALES, ZERO_POINTS, int32s, integers

penjing = torch.ops.penjing
decomposed = torch.ops.quantized_decomposed
CHANNELS = st.sampled_from([1, 2, 3, 5, 8, 9, 17])


def check(op: OpOverload, *args: Any, **options: Any) -> None:
    """As `harness.check`; what the operator says without values must be true as well."""
    plain = [arg.tensor if isinstance(arg, Weight) else arg for arg in args]
    with FakeTensorMode(allow_non_fake_inputs=True) as mode:
        fakes = [mode.from_tensor(x) if isinstance(x, torch.Tensor) else x for x in plain]
        fake = op(*fakes)
    wanted = op(*plain)
    assert (fake.shape, fake.dtype) == (wanted.shape, wanted.dtype)
    harness.check(op, *args, **options)


@FEW
@given(
    rank=st.sampled_from([1, 2, 2, 2, 3]),
    channels=st.tuples(CHANNELS, CHANNELS, st.sampled_from([1, 1, 2, 3])),
    taps=st.sampled_from([1, 2, 3]),
    stride=st.sampled_from([1, 2, 3]),
    padding=st.sampled_from([0, 1, 2]),
    dilation=st.sampled_from([1, 2]),
    scale=SCALES,
    points=st.tuples(ZERO_POINTS, ZERO_POINTS),
    fill=FILLS,
)
def test_convolution(
    rank: int,
    channels: tuple[int, int, int],
    taps: int,
    stride: int,
    padding: int,
    dilation: int,
    scale: float,
    points: tuple[int, int],
    fill: int | None,
) -> None:
    inputs, outputs, groups = channels
    x = integers(2, inputs * groups, *[11, 9, 10][:rank], fill=fill)
    weight = integers(outputs * groups, inputs, *[taps] * rank, low=-127)
    constants, shift = _constants(outputs * groups, scale)
    options = [stride] * rank, [padding] * rank, [dilation] * rank, groups, points[0]
    end = shift, points[1], -100, 127
    check(penjing.conv_int8.default, x, Weight(weight), *constants, *options, *end)
    real = constants[0], Weight(torch.linspace(0.01, scale, outputs * groups))
    exact: dict[str, Any] = {"rtol": 0, "atol": 0}
    check(penjing.conv_int8_to_float.default, x, Weight(weight), *real, *options, **exact)


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize(("stride", "taps"), [(1, 3), (2, 3), (1, 5)])
def test_depthwise(multiplier: int, stride: int, taps: int) -> None:
    x, weight = integers(2, 9, 9, 17), integers(9 * multiplier, 1, taps, taps)
    constants, shift = _constants(9 * multiplier, 1e-3)
    options = [stride] * 2, [taps // 2] * 2, [1, 1], 9, -128, shift, 3, -128, 127
    check(penjing.conv_int8.default, x, Weight(weight), *constants, *options)


@FEW
@given(rows=SIZES, depth=SIZES, columns=SIZES, scale=SCALES, zero_point=ZERO_POINTS, fill=FILLS)
def test_linear(
    rows: int, depth: int, columns: int, scale: float, zero_point: int, fill: int | None
) -> None:
    constants, shift = _constants(columns, scale)
    operands = integers(rows, depth, fill=fill), Weight(integers(columns, depth))
    check(penjing.linear_int8.default, *operands, *constants, shift, zero_point, -128, 100)
    real = constants[0], Weight(torch.linspace(0.01, scale, columns))
    check(penjing.linear_int8_to_float.default, *operands, *real, rtol=0, atol=0)


@FEW
@given(
    sizes=st.tuples(SIZES, SIZES, SIZES),
    batches=st.sampled_from(
        [((), ()), ((2,), (2,)), ((2, 3), (2, 3)), ((3,), ()), ((1, 2), (2, 1))]
    ),
    points=st.tuples(ZERO_POINTS, ZERO_POINTS, ZERO_POINTS),
    scale=SCALES,
    fill=FILLS,
)
def test_matmul(
    sizes: tuple[int, int, int],
    batches: tuple[tuple[int, ...], tuple[int, ...]],
    points: tuple[int, int, int],
    scale: float,
    fill: int | None,
) -> None:
    m, k, n = sizes
    x, y = integers(*batches[0], m, k, fill=fill), integers(*batches[1], k, n)
    rescaling = Rescaling.of_one(scale)
    check(penjing.matmul_int8.default, x, y, *points[:2], *rescaling, points[2], -128, 127)


@FEW
@given(
    shapes=st.sampled_from([((2, 9, 7), (2, 9, 7)), ((1, 33), (1, 33)), ((2, 3, 17), (3, 1))]),
    points=st.tuples(ZERO_POINTS, ZERO_POINTS, ZERO_POINTS),
    scales=st.tuples(st.sampled_from([0.01, 0.5, 30.0]), st.sampled_from([0.02, 1.0])),
    sign=st.sampled_from([1.0, -1.0]),
    fill=FILLS,
)
def test_pointwise(
    shapes: tuple[tuple[int, ...], tuple[int, ...]],
    points: tuple[int, int, int],
    scales: tuple[float, float],
    sign: float,
    fill: int | None,
) -> None:
    x, y = integers(*shapes[0], fill=fill), integers(*shapes[1])
    left, right = (QuantizedRange(s, z) for s, z in zip(scales, points, strict=False))
    result = QuantizedRange(0.7, points[2])
    both, one = PairSum.of(left, right, result, (1.0, sign)), PairSum.of(left, None, result)
    sums = both.left, both.right, both.offset, both.shift
    check(penjing.add_int8.default, x, y, *sums, -128, 127)
    check(penjing.rescale_int8.default, x, one.left, one.offset, one.shift, -100, 127)
    plan = Affine.of(left, torch.linspace(-3, 2, x.shape[-1]), torch.tensor([[-5.0]]), result)
    constants = Weight(plan.multiplier), Weight(plan.offset), plan.shift
    check(penjing.affine_int8.default, x, *constants, -90, 127)
    rescaling = Rescaling.of_one(scales[0] * scales[1])
    check(penjing.mul_int8.default, x, y, *points[:2], *rescaling, points[2], -128, 99)


def test_tables() -> None:
    check(penjing.table_int8.default, integers(3, 5, 33), Weight(integers(256)))


def test_signs() -> None:
    x = integers(3, 33)
    check(penjing.unsigned_int8.default, x)
    check(penjing.signed_int8.default, penjing.unsigned_int8(x))


@FEW
@given(
    channels=CHANNELS,
    taps=st.sampled_from([1, 2, 3, 9]),
    stride=st.sampled_from([1, 2, 3]),
    padding=st.sampled_from([0, 1]),
    points=st.tuples(ZERO_POINTS, ZERO_POINTS),
    fill=FILLS,
)
def test_average_pools(
    channels: int, taps: int, stride: int, padding: int, points: tuple[int, int], fill: int | None
) -> None:
    padding = min(padding, taps // 2)
    x, rescaling = integers(2, channels, 9, 9, fill=fill), Rescaling.of_one(0.7 / taps**2)
    window = [taps] * 2, [stride] * 2, [padding] * 2
    end = points[0], *rescaling, points[1], -128, 127
    check(penjing.avg_pool_int8.default, x, *window, *end)
    check(penjing.mean_int8.default, x, [2, 3], True, *end)
    check(penjing.mean_int8.default, x, [1], False, *end)


@FEW
@given(
    shape=st.sampled_from([(1, 1), (3, 17), (2, 5, 33), (4, 130), (2, 9, 4)]),
    dim=st.sampled_from([-1, 1]),
    scale=st.sampled_from([1e-4, 0.05, 2.0]),
    step=st.sampled_from([2.0**-20, 1 / 256, 0.3]),
    fill=FILLS,
)
def test_softmax(
    shape: tuple[int, ...], dim: int, scale: float, step: float, fill: int | None
) -> None:
    plan = SoftmaxPlan.of(QuantizedRange(scale, 0), QuantizedRange(step, -128))
    options = dim % len(shape), plan.inverse, plan.shift, -128, -128, 127
    x = integers(*shape, fill=fill)
    check(penjing.softmax_int8.default, x, Weight(plan.table), *options)


@FEW
@given(
    shape=st.sampled_from([(2, 1), (3, 17), (2, 5, 33), (1, 384), (2, 3, 8)]),
    axes=st.sampled_from([1, 2]),
    centered=st.booleans(),
    zero_point=ZERO_POINTS,
    eps=st.sampled_from([0.0, 1e-5, 1.0]),
    fill=FILLS,
)
def test_norms(
    shape: tuple[int, ...], axes: int, centered: bool, zero_point: int, eps: float, fill: int | None
) -> None:
    axes = min(axes, len(shape) - 1)
    tail = shape[-axes:]
    gains = torch.linspace(-2, 2, torch.Size(tail).numel()).reshape(tail)
    x, result = QuantizedRange(0.05, zero_point), QuantizedRange(0.03, -9)
    plan = NormalizationPlan.of(gains, gains.flip(0), eps, x, result)
    constants = Weight(plan.gain), Weight(plan.offset)
    point = 0 if centered else zero_point
    options = axes, point, centered, plan.epsilon, plan.shift, -128, 127
    check(penjing.normalize_int8.default, integers(*shape, fill=fill), *constants, *options)


@FEW
@given(
    sizes=st.tuples(SIZES, SIZES, st.sampled_from([1, 4, 17])),
    batches=st.sampled_from([(), (2,), (1, 3)]),
    points=st.tuples(ZERO_POINTS, ZERO_POINTS, ZERO_POINTS),
    scale=st.sampled_from([1e-3, 0.03, 2.0]),
    mask=st.sampled_from(["", "causal", "bias"]),
    fill=FILLS,
)
def test_attention(
    sizes: tuple[int, int, int],
    batches: tuple[int, ...],
    points: tuple[int, int, int],
    scale: float,
    mask: str,
    fill: int | None,
) -> None:
    rows, keys, features = sizes
    ranges = tuple(QuantizedRange(0.05, point) for point in points)
    assert len(ranges) == 3
    plan = AttentionPlan.of(ranges, scale, QuantizedRange(0.04, 5), keys)
    query, key = integers(*batches, rows, features, fill=fill), integers(*batches, keys, features)
    value, bias = integers(*batches, keys, 9), int32s(rows, keys, most=1000)
    bias[:, 0] = -(2**29)
    tensors = query, key, value, bias if mask == "bias" else None, Weight(plan.table)
    end = mask == "causal", *points, *plan.constants, 5, -128, 120
    check(penjing.attention_int8.default, *tensors, *end)


@pytest.mark.parametrize("scale", [1.0, 0.037, 1 / 3])
def test_borders(scale: float) -> None:
    """Halves go to the even neighbor; what is far outside saturates."""
    real = torch.randn(3, 37, generator=torch.Generator().manual_seed(0)) * 50
    real[0, :7] = torch.tensor([0.5, 1.5, -2.5, 1e9, -1e9, float("inf"), -float("inf")])
    signed, unsigned = (scale, -5, -128, 127, torch.int8), (scale, 3, 0, 255, torch.uint8)
    check(decomposed.quantize_per_tensor.default, real, *signed)
    check(decomposed.quantize_per_tensor.default, real, *unsigned)
    exact: dict[str, Any] = {"rtol": 0, "atol": 0}
    check(decomposed.dequantize_per_tensor.default, integers(4, 9), *signed, **exact)
    channels = torch.rand(4), torch.arange(4), 0, -128, 127, torch.int8
    check(decomposed.dequantize_per_channel.default, integers(4, 9), *channels, **exact)


def _constants(channels: int, scale: float) -> tuple[tuple[Weight, Weight], int]:
    """Bias and multipliers of a layer, as `check` takes them, and their shift."""
    scales = scale * torch.linspace(0.01, 1, channels, dtype=torch.float64)
    rescaling = Rescaling.of(scales)
    bias = int32s(channels, most=20000)
    return (Weight(bias), Weight(rescaling.multipliers)), rescaling.shift


def test_every_operator_is_tested() -> None:
    registered = {name.split(".")[0] for name in torch._C._dispatch_get_all_op_names()}
    operators = {name.removeprefix("penjing::") for name in registered if "penjing::" in name}
    files = Path(__file__), Path(__file__).with_name("test_dynamic_rules.py")
    source = "".join(file.read_text() for file in files)
    integer = {name for name in operators if "int8" in name}
    assert len(integer) >= 16
    assert not [name for name in sorted(integer) if f"penjing.{name}.default" not in source]
