"""The kernels of values quantized at run time give PyTorch's bytes, real results included."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from penjing.compiler.lowering.rules import quantized_dynamic
from penjing.compiler.quantization import dynamic  # noqa: F401  (registers penjing)

from ..lowering import harness
from ..lowering.harness import Weight
from ..lowering.samples import FEW
from .samples import integers

penjing = torch.ops.penjing
SIZES = st.sampled_from([1, 2, 3, 5, 8, 17, 33])


def check(operator: Any, *arguments: Any) -> None:
    harness.check(operator, *arguments, rtol=0, atol=0)


@FEW
@given(
    shape=st.tuples(SIZES, SIZES, SIZES),
    axes=st.sampled_from([1, 1, 2, 3]),
    symmetric=st.booleans(),
    scale=st.sampled_from([1e-30, 1e-8, 0.1, 1.0, 300.0, 1e30]),
    shift=st.sampled_from([0.0, 0.0, 3.0, -3.0]),
)
def test_rows(
    shape: tuple[int, ...], axes: int, symmetric: bool, scale: float, shift: float
) -> None:
    x = (torch.randn(shape) + shift) * scale
    x[0, 0] = 0.0
    low = -127 if symmetric else -128
    check(penjing.quantize_rows.default, x, axes, symmetric, 2.0**-23, low, 127)


def test_what_rows_become() -> None:
    x = torch.tensor([[0.0, 2.55, 1.0], [-1.0, 0.0, 1.55], [0.0, 0.0, 0.0]])
    values, step, zero_point = penjing.quantize_rows(x, 1, False, 1e-3, -128, 127)
    assert step.flatten().tolist() == pytest.approx([0.01, 0.01, 1e-3])
    assert zero_point.flatten().tolist() == [-128, -28, -128]
    assert values.tolist() == [[-128, 127, -28], [-128, -28, 127], [-128] * 3]
    assert torch.allclose((values - zero_point) * step, x, atol=1e-6)


@FEW
@given(
    rows=st.sampled_from([(1,), (7,), (2, 3), (64,)]),
    depth=st.sampled_from([1, 3, 4, 16, 37]),
    outputs=st.sampled_from([1, 3, 8, 17, 40]),
    fill=st.sampled_from([None, None, -128, 127]),
    zero_points=st.sampled_from([None, "one", "rows"]),
)
def test_linear(
    rows: tuple[int, ...], depth: int, outputs: int, fill: int | None, zero_points: str | None
) -> None:
    x = integers(*rows, depth, fill=fill)
    weight = integers(outputs, depth, low=-127, fill=None if fill is None else 127)
    shape = (*rows, 1) if zero_points == "rows" else (1,) * (len(rows) + 1)
    points = None
    if zero_points is not None:
        points = torch.randint(-128, 128, shape, dtype=torch.int32)
    sums = weight.sum(1, dtype=torch.int32)
    reals = [torch.rand(outputs) * 0.01, torch.randn(outputs)]
    constants = [Weight(each) for each in (weight, sums, *reals)]
    check(penjing.linear_int8_rows.default, x, torch.rand(shape) * 0.1, points, *constants)


@FEW
@given(
    channels=st.sampled_from([(3, 8, 1), (4, 6, 2), (9, 9, 9), (16, 33, 1)]),
    taps=st.sampled_from([(1, 1), (3, 3), (1, 3), (3,)]),
    stride=st.sampled_from([1, 2]),
    padding=st.sampled_from([0, 1]),
    images=st.sampled_from([1, 2]),
)
def test_convolution(
    channels: tuple[int, int, int], taps: tuple[int, ...], stride: int, padding: int, images: int
) -> None:
    inputs, outputs, groups = channels
    x = integers(images, inputs, *[7] * len(taps))
    weight = integers(outputs, inputs // groups, *taps, low=-127)
    step = torch.rand(images, *[1] * (len(taps) + 1))
    reals = [Weight(torch.rand(outputs) * 0.01), Weight(torch.randn(outputs))]
    window = [[size] * len(taps) for size in (stride, padding, 1)]
    arguments = (x, step, Weight(weight), *reals, *window, groups)
    check(penjing.conv_int8_images.default, *arguments)


def test_bias_is_added_after_rounding(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fused multiply-add rounds once: results would depend on the processor."""

    def run() -> Tensor:
        torch.manual_seed(0)
        weight = integers(64, 33, low=-127)
        sums, reals = weight.sum(1, dtype=torch.int32), [torch.rand(64), torch.randn(64) * 300]
        constants = [Weight(each) for each in (weight, sums, *reals)]
        arguments = integers(65, 33)[:64], torch.rand(64, 1), None, *constants
        (result,) = harness.run(penjing.linear_int8_rows.default, *arguments)
        plain = [arg.tensor if isinstance(arg, Weight) else arg for arg in arguments]
        difference: Tensor = result - penjing.linear_int8_rows(*plain)
        return difference

    assert not run().any()
    monkeypatch.setattr(quantized_dynamic, "rounded", lambda value: value)
    if harness.TARGET.llvm_cpu != "x86-64-v2":  # which has no such instruction
        assert run().any()
