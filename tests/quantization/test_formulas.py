"""The integer formulas against real arithmetic: how far off they may be, and what they refuse."""

import math

import pytest
import torch
from torch.nn import functional

from penjing.compiler.errors import CompileError
from penjing.compiler.quantization import ops  # noqa: F401  (registers penjing)
from penjing.compiler.quantization.arithmetic import (
    multiply_high,
    power_of_four,
    reciprocal_square_root,
    requantize,
)
from penjing.compiler.quantization.attention import AttentionPlan
from penjing.compiler.quantization.normalization import NormalizationPlan
from penjing.compiler.quantization.scales import (
    LayerConstants,
    PairSum,
    QuantizedRange,
    Rescaling,
)
from penjing.compiler.quantization.softmax import SoftmaxPlan

from .samples import int32s, integers

penjing = torch.ops.penjing


@pytest.mark.parametrize(
    "scale", [2.0**-40, 2.0**-17, 2.0**-16, 3e-3, 0.5, 0.99999999999, 1.0, 900.0]
)
def test_requantize_rounds_to_the_nearest_step(scale: float) -> None:
    """All but exact ties: the multiplier has at least 16 bits, so 255 steps are off by 2^-8."""
    span = min(2**31 - 1, round(300 / scale))
    accumulator = torch.linspace(-span, span, 5001, dtype=torch.float64).long()
    multiplier, shift = Rescaling.of_one(scale)
    got = requantize(accumulator, multiplier, shift, -3, -128, 127)
    real = accumulator.double() * scale
    inside = real.abs() < 120
    error = (got.double() + 3 - real)[inside].abs().max()
    assert error <= 0.5 + 2**-8
    assert set(got[real > 140].tolist()) <= {127}
    assert set(got[real < -140].tolist()) <= {-128}


def test_multiply_high_rounds_once_halves_up() -> None:
    a = torch.tensor([1, -1, 3, -3, 2**31 - 1, -(2**31)])
    assert multiply_high(a, 1 << 30).tolist() == [1, 0, 2, -1, 1 << 30, -(1 << 30)]


def test_scales_out_of_range_are_refused() -> None:
    for scale in (float("nan"), float("inf"), 2.0**31):
        with pytest.raises(CompileError, match="out of range"):
            Rescaling.of_one(scale)
    with pytest.raises(CompileError, match="positive and finite"):
        QuantizedRange(0.0, 0)
    with pytest.raises(CompileError, match="zero point"):
        QuantizedRange(1.0, 5, low=-4, high=4)
    with pytest.raises(CompileError, match="2\\^14 steps"):
        PairSum.of(QuantizedRange(2.0**15, 0), None, QuantizedRange(1.0, 0))


def test_the_reciprocal_square_root_is_close() -> None:
    value = torch.linspace(2**29, 2**31 - 1, 100001, dtype=torch.float64).long()
    root = reciprocal_square_root(value).double() / 2**29
    wanted = (value.double() / 2**31).rsqrt()
    assert ((root - wanted) / wanted).abs().max() < 2**-22


def test_powers_of_four() -> None:
    value = torch.tensor([1, 3, 4, 15, 16, 4**12 - 1, 4**12])
    assert power_of_four(value, 20).tolist() == [1, 1, 2, 2, 3, 12, 13]


@pytest.mark.parametrize("scales", [(0.05, 0.05), (0.2, 0.001), (1e-3, 2e-3)])
def test_sums_are_off_by_less_than_a_fiftieth_of_a_step(scales: tuple[float, float]) -> None:
    ranges = QuantizedRange(scales[0], -128), QuantizedRange(scales[1], 127)
    result = QuantizedRange(max(scales) * 1.7, 3)
    plan = PairSum.of(*ranges, result)
    x, y = integers(400, 50), integers(400, 50).flip(0)
    got = penjing.add_int8(x, y, plan.left, plan.right, plan.offset, plan.shift, -128, 127)
    real = (x.double() + 128) * scales[0] + (y.double() - 127) * scales[1]
    steps = (real / result.scale + 3).clamp(-128, 127)
    assert (got - steps).abs().max() < 0.52


@pytest.mark.parametrize("elements", [1, 7, 128, 1000])
@pytest.mark.parametrize("step", [1 / 256, 2.0**-12])
def test_softmax_is_off_by_less_than_a_tenth_of_a_step(elements: int, step: float) -> None:
    """Before it is rounded: more than 45 dB over what rounding alone costs."""
    x, result = QuantizedRange(0.05, 3), QuantizedRange(step, -128)
    plan = SoftmaxPlan.of(x, result)
    integer = integers(50, elements)
    got = penjing.softmax_int8(integer, plan.table, 1, plan.inverse, plan.shift, -128, -128, 127)
    steps = (torch.softmax(integer.double() * x.scale, -1) / step - 128).clamp(-128, 127)
    assert (got - steps).abs().max() < 0.6
    assert (got != torch.round(steps)).double().mean() < 0.02


@pytest.mark.parametrize("elements", [2, 7, 64, 384, 4096])
@pytest.mark.parametrize("centered", [True, False])
def test_norms_are_off_by_less_than_a_hundredth_of_a_step(elements: int, centered: bool) -> None:
    generator = torch.Generator().manual_seed(elements)
    gain, bias = torch.randn(2, elements, generator=generator)
    x = QuantizedRange(0.03, 0 if centered else -20)
    integer = integers(50, elements)
    real = (integer.double() - x.zero_point) * x.scale
    if centered:
        wanted = functional.layer_norm(real, (elements,), gain.double(), bias.double(), 1e-5)
    else:
        wanted = functional.rms_norm(real, (elements,), gain.double(), 1e-5) + bias
    result = QuantizedRange(float(wanted.abs().max()) / 120, -5)
    plan = NormalizationPlan.of(gain, bias, 1e-5, x, result)
    options = 1, x.zero_point, centered, plan.epsilon, plan.shift, -128, 127
    got = penjing.normalize_int8(integer, plan.gain, plan.offset, *options)
    steps = (wanted / result.scale - 5).clamp(-128, 127)
    assert (got - steps).abs().max() < 0.51


@pytest.mark.parametrize("keys", [1, 9, 128, 700])
@pytest.mark.parametrize("scale", [0.002, 0.02, 0.3])
def test_attention_is_close(keys: int, scale: float) -> None:
    """Flat rows, and rows in which one key outweighs all others: hardly more than rounding."""
    query, key, value = (integers(6, rows, 16) for rows in (5, keys, keys))
    x = QuantizedRange(0.05, 3)
    q, k, v = ((part.double() - 3) * 0.05 for part in (query, key, value))
    wanted = functional.scaled_dot_product_attention(q, k, v, scale=scale * 20)
    result = QuantizedRange(float(wanted.abs().max()) / 110, -5)
    plan = AttentionPlan.of((x, x, x), scale * 20, result, keys)
    end = False, 3, 3, 3, *plan.constants, -5, -128, 127
    got = penjing.attention_int8(query, key, value, None, plan.table, *end).double()
    steps = wanted / result.scale - 5
    assert (got - steps).abs().max() < 1.1
    noise, least = (got - steps).square().mean(), (torch.round(steps) - steps).square().mean()
    assert noise < 1.1 * least


def test_norms_of_constant_rows_are_their_bias() -> None:
    x, result = QuantizedRange(0.03, 5), QuantizedRange(0.1, 0)
    plan = NormalizationPlan.of(torch.ones(6), torch.full((6,), 2.0), 0.0, x, result)
    rows = torch.tensor([[-128] * 6, [127] * 6], dtype=torch.int8)
    options = 1, 0, True, plan.epsilon, plan.shift, -128, 127
    assert set(
        penjing.normalize_int8(rows, plan.gain, plan.offset, *options).flatten().tolist()
    ) == {20}


def test_the_bias_knows_the_zero_point_of_the_input() -> None:
    weight, bias = integers(3, 4, low=-127), [0.5, -1.0, 2.0]
    steps, x = [0.01, -0.02, 0.03], QuantizedRange(0.1, 7)
    constants = LayerConstants.of(
        weight, torch.tensor(steps, dtype=torch.float64), torch.tensor(bias), x
    )
    rows = weight.long().sum(1).tolist()
    wanted = [round(b / s) - 7 * row for b, s, row in zip(bias, steps, rows, strict=True)]
    assert constants.bias.tolist() == wanted
    assert torch.equal(constants.weight, weight)


def test_channels_that_are_next_to_nothing_keep_their_bias() -> None:
    """Batch norms of dead channels leave such; their steps would be too small for the bias."""
    weight = torch.full((4, 64), 127, dtype=torch.int8)
    steps = torch.tensor([1e-15, 0.0, -1e-12, 0.0], dtype=torch.float64)
    bias = torch.tensor([1.0, -2.0, 3.0, 0.0], dtype=torch.float64)
    constants = LayerConstants.of(weight, steps, bias, QuantizedRange(0.1, -128))
    assert (constants.steps * constants.bias - bias).abs().max() < 1e-4
    assert constants.weight.abs().max() <= 1


def test_sums_that_may_not_fit_are_refused() -> None:
    weight, ones = torch.full((2, 70000), 127, dtype=torch.int8), torch.ones(2).double()
    room = 2**31 - 1 - 70000 * 127 * 128
    bias, x = torch.tensor([0, room], dtype=torch.float64), QuantizedRange(0.1, 0)
    assert LayerConstants.of(weight, ones, bias, x).bias.tolist() == [0, room]
    with pytest.raises(CompileError, match="32 bits") as error:
        LayerConstants.of(weight, ones, bias + 1, x)
    assert "output channel 1" in error.value.got


@pytest.mark.parametrize("groups", [1, 2])
def test_convolution_is_the_requantized_real_one(groups: int) -> None:
    """Computed in another order, with other operators: the definition itself."""
    x, weight = integers(1, 4, 6, 5), integers(6, 4 // groups, 3, 3)
    bias, multiplier = int32s(6, most=5000), int32s(6, most=2**22)
    got = penjing.conv_int8(
        x, weight, bias, multiplier, [2, 1], [1, 1], [1, 1], groups, 9, 0, -4, -100, 90
    )
    padded = functional.pad(x.int(), (1, 1, 1, 1), value=9)
    for o, h, w in ((0, 0, 0), (5, 2, 4), (3, 1, 2)):
        first = o // (6 // groups) * (4 // groups)
        window = padded[0, first : first + 4 // groups, 2 * h : 2 * h + 3, w : w + 3]
        total = int((window * weight[o].int()).sum()) + int(bias[o])
        scaled = math.floor(total * int(multiplier[o]) / 2**31 + 0.5)
        assert int(got[0, o, h, w]) == min(max(scaled - 4, -100), 90)
