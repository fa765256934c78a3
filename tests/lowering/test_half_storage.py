"""16-bit floats that kernels load and store, while they compute in float32."""

import pytest
import torch
from torch import nn

import penjing

from .harness import Weight, check, run

aten = torch.ops.aten
HALVES = [torch.float16, torch.bfloat16]
# Without conversions in hardware (they are done by bits), with them, and flushing denormals.
SOFTWARE, FLUSHING = "x86-64-v2", "armv7-generic"


class _Cast(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(self.dtype)


def _cast(x: torch.Tensor, dtype: torch.dtype, target: str) -> torch.Tensor:
    (result,) = penjing.compile(_Cast(dtype), (x,), target=target).run(x)
    return torch.from_numpy(result)


def _every_half() -> torch.Tensor:
    return torch.arange(-(2**15), 2**15).to(torch.int16).view(torch.float16)


def _floats() -> torch.Tensor:
    """Random bits, every float16, its neighbors, the ties between them and where float16 ends."""
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(-(2**31), 2**31, (4096,), generator=generator).to(torch.int32)
    halves = _every_half().float()
    ends = torch.tensor([65504.0, 65519.99, 65520.0, 65536.0, 1e-8, 2.98e-8, 5.96e-8, 6.1e-5])
    above = torch.nextafter(halves, torch.tensor(torch.inf))
    ties = (halves[:-1] + halves[1:]) / 2
    return torch.cat([words.view(torch.float32), halves, above, ties, ends, -ends])


@pytest.mark.parametrize(
    "target", ["host", SOFTWARE, pytest.param("arm-a72", marks=pytest.mark.qemu)]
)
def test_conversions_are_those_of_ieee(target: str) -> None:
    halves, floats = _every_half(), _floats()
    _assert_equal(_cast(halves, torch.float32, target), halves.float())
    _assert_equal(_cast(floats, torch.float16, target), floats.half())


@pytest.mark.qemu
def test_neon_of_armv7_flushes_denormal_numbers() -> None:
    halves = _every_half()
    is_denormal = (halves.abs() > 0) & (halves.abs() < 2.0**-14)
    wanted = torch.where(is_denormal, torch.zeros_like(halves), halves).float()
    _assert_equal(_cast(halves, torch.float32, FLUSHING), wanted)
    _assert_equal(_cast(_floats(), torch.float16, FLUSHING), _floats().half())


@pytest.mark.parametrize("dtype", HALVES)
def test_nothing_is_rounded_within_a_kernel(dtype: torch.dtype) -> None:
    class Chain(nn.Module):
        def forward(self, *x: torch.Tensor) -> torch.Tensor:
            return (x[0] + x[1]) * x[2]

    values = torch.rand(3, 1000, generator=torch.Generator().manual_seed(0)).to(dtype)
    inputs = tuple(values)
    (got,) = penjing.compile(Chain(), inputs, target="host").run(*inputs)
    exact = ((values[0].double() + values[1]) * values[2]).to(dtype)
    _assert_equal(torch.from_numpy(got).float(), exact.float())
    assert not torch.equal((values[0] + values[1]) * values[2], exact)  # PyTorch rounds the sum


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize("rows", [1, 2, 5, 64])
@pytest.mark.parametrize("columns", [1, 7, 40, 130])
def test_products_widen_their_weights(dtype: torch.dtype, rows: int, columns: int) -> None:
    generator = torch.Generator().manual_seed(rows)
    x, w, b = (
        torch.randn(size, generator=generator).to(dtype)
        for size in ((rows, 37), (columns, 37), (columns,))
    )
    (got,) = run(aten.linear.default, x, Weight(w), Weight(b))
    wanted = aten.linear(x.double(), w.double(), b.double())
    torch.testing.assert_close(got.double(), wanted, rtol=float(torch.finfo(dtype).eps), atol=1e-5)


@pytest.mark.parametrize("dtype", HALVES)
@pytest.mark.parametrize(
    ("groups", "taps", "stride"), [(1, 1, 1), (1, 3, 1), (1, 3, 2), (2, 3, 1), (24, 3, 1)]
)
def test_convolutions_widen_their_weights(
    dtype: torch.dtype, groups: int, taps: int, stride: int
) -> None:
    generator = torch.Generator().manual_seed(taps)
    x = torch.randn(1, 24, 13, 15, generator=generator).to(dtype)
    w = torch.randn(48, 24 // groups, taps, taps, generator=generator).to(dtype)
    b = torch.randn(48, generator=generator).to(dtype)
    options = ([stride, stride], [taps // 2, taps // 2], [1, 1], groups)
    check(aten.conv2d.default, x, Weight(w), Weight(b), *options)


def _assert_equal(got: torch.Tensor, wanted: torch.Tensor) -> None:
    torch.testing.assert_close(got, wanted, rtol=0, atol=0, equal_nan=True)
