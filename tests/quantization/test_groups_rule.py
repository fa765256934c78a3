"""Products of int8 and weights of 4 bits in groups: kernels give PyTorch's bytes."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from penjing.compiler.lowering.rules import integer_groups
from penjing.compiler.quantization.packed_weights import pack_int4

from ..lowering import harness
from ..lowering.harness import Weight
from ..lowering.samples import FEW
from .samples import integers

LINEAR = torch.ops.penjing.linear_int4_rows.default


def constants(outputs: int, groups: int, size: int, fill: int | None, dtype: torch.dtype) -> Any:
    """A weight, its scales and sums, and a bias."""
    weight = integers(outputs, groups * size, fill=None if fill is None else 16 * fill) >> 4
    scales = (torch.randn(outputs, groups) * 0.01).to(dtype)
    sums = (weight.unflatten(1, (groups, size)).sum(2) * scales.float()).sum(1)
    return pack_int4(weight), scales, sums, torch.randn(outputs)


@FEW
@given(
    rows=st.sampled_from([(1,), (7,), (2, 3), (64,)]),
    size=st.sampled_from([8, 10, 12, 22, 32, 32, 64]),
    groups=st.sampled_from([1, 2, 3, 5]),
    outputs=st.sampled_from([1, 3, 8, 17, 40]),
    fill=st.sampled_from([(None, None), (None, None), (-128, -8), (127, -8), (-128, 7)]),
    zero_points=st.sampled_from([None, "one", "rows"]),
    dtype=st.sampled_from([torch.float16, torch.float32]),
    is_constant=st.sampled_from([True, True, True, False]),
)
def test_bytes(
    rows: tuple[int, ...],
    size: int,
    groups: int,
    outputs: int,
    fill: tuple[int | None, int | None],
    zero_points: str | None,
    dtype: torch.dtype,
    is_constant: bool,
) -> None:
    x = integers(*rows, groups * size, fill=fill[0])
    given = constants(outputs, groups, size, fill[1], dtype)
    shape = (*rows, 1) if zero_points == "rows" else (1,) * (len(rows) + 1)
    points = None
    if zero_points is not None:
        points = torch.randint(-128, 128, shape, dtype=torch.int32)
    weights = [Weight(each) for each in given] if is_constant else given
    harness.check(LINEAR, x, torch.rand(shape) * 0.1, points, *weights, rtol=0, atol=0)


def test_what_it_stands_for() -> None:
    """The product of what integers, steps and zero points stand for."""
    packed, scales, sums, bias = constants(5, 3, 32, None, torch.float16)
    x, step = integers(4, 96), torch.rand(4, 1)
    point = torch.randint(-128, 128, (4, 1), dtype=torch.int32)
    weight = torch.ops.penjing.dequantize_groups(packed, scales)
    wanted = (x - point).double() * step @ weight.double().T + bias
    got = LINEAR(x, step, point, packed, scales, sums, bias)
    torch.testing.assert_close(got.double(), wanted, rtol=1e-5, atol=1e-4)


def test_sums_are_rounded_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fused multiply-add rounds once: results would depend on the processor."""

    def run() -> Tensor:
        torch.manual_seed(0)
        given = constants(64, 8, 32, None, torch.float16)
        arguments = integers(64, 256), torch.rand(64, 1), None
        (result,) = harness.run(LINEAR, *arguments, *map(Weight, given))
        difference: Tensor = result - LINEAR(*arguments, *given)
        return difference

    assert not run().any()
    monkeypatch.setattr(integer_groups, "rounded", lambda value: value)
    if harness.TARGET.llvm_cpu != "x86-64-v2":  # which has no such instruction
        assert run().any()
