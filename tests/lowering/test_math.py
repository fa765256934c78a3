"""Accuracy of the own transcendental functions, against float64 and extended precision."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from tvm import te, tirx

from penjing.compiler.ir.tensor_spec import TensorSpec
from penjing.compiler.lowering import math as own
from penjing.compiler.lowering.math import trigonometry
from penjing.compiler.lowering.math.exponentials import scaled_exp2
from penjing.compiler.lowering.math.floats import ceil, floor, round_even, trunc
from penjing.compiler.lowering.math.power import power

from .harness import execute

SPECIAL = [0.0, -0.0, math.inf, -math.inf, math.nan, 1.0, -1.0, 1e-40, -1e-40, 3e38, -3e38]

# function, reference over torch tensors, range of arguments, largest error in ulp of the result
CASES: dict[str, tuple[Any, Any, float, float, float]] = {
    "exp": (own.exp, torch.exp, -110, 95, 1.2),
    "exp2": (own.exp2, torch.exp2, -155, 135, 1.5),
    "expm1": (own.expm1, torch.expm1, -20, 92, 1.6),
    "log": (own.log, torch.log, 0, 10, 1.1),
    "log2": (own.log2, torch.log2, 0, 10, 2),
    "log10": (own.log10, torch.log10, 0, 10, 2),
    "log1p": (own.log1p, torch.log1p, -1, 10, 1.5),
    "sigmoid": (own.sigmoid, torch.sigmoid, -87, 40, 2.5),
    "tanh": (own.tanh, torch.tanh, -10, 10, 5),
    "erf": (own.erf, torch.special.erf, -5, 5, 5),
    "erfc": (own.erfc, torch.special.erfc, -5, 13, 1),
    "sinh": (own.sinh, torch.sinh, -92, 92, 1),
    "cosh": (own.cosh, torch.cosh, -92, 92, 1),
    "asinh": (own.asinh, torch.asinh, -100, 100, 1),
    "acosh": (own.acosh, torch.acosh, 1, 100, 1),
    "atanh": (own.atanh, torch.atanh, -1, 1, 1),
    "sin": (trigonometry.sin, torch.sin, -1000, 1000, 1.5),
    "cos": (trigonometry.cos, torch.cos, -1000, 1000, 1.5),
    "tan": (trigonometry.tan, torch.tan, -1000, 1000, 3.5),
    "atan": (trigonometry.atan, torch.atan, -50, 50, 1),
    "asin": (trigonometry.asin, torch.asin, -1, 1, 1),
    "acos": (trigonometry.acos, torch.acos, -1, 1, 1),
    "rsqrt": (own.rsqrt, torch.rsqrt, 0, 100, 1.5),
}


def apply(function: Callable[..., Any], *inputs: torch.Tensor) -> torch.Tensor:
    """The function of every element, computed by a kernel."""
    spec = TensorSpec.of(inputs[0])
    places = [te.placeholder(spec.shape, spec.dtype, name=f"x{i}") for i in range(len(inputs))]
    result = te.compute(spec.shape, lambda i: function(*(place(i) for place in places)), name="y")
    return execute(te.create_prim_func([*places, result]), list(inputs), [spec])[0]


def arguments(low: float, high: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Numbers over a range, dense around 0, and the special ones."""
    even = torch.linspace(low, high, 20001, dtype=dtype)
    tiny = torch.logspace(-30, 0, 501, dtype=dtype)
    return torch.cat([even, tiny, -tiny, torch.tensor(SPECIAL, dtype=dtype)])


def ulps(result: torch.Tensor, exact: torch.Tensor) -> float:
    """The largest error, in units of the last place of float32."""
    rounded = exact.float()
    is_finite = torch.isfinite(rounded)
    torch.testing.assert_close(
        result[~is_finite], rounded[~is_finite], rtol=0, atol=0, equal_nan=True
    )
    size = rounded[is_finite].abs().clamp(min=1e-7).numpy()
    spacing = torch.from_numpy(np.spacing(size)).double()
    return float(((result[is_finite].double() - exact[is_finite]).abs() / spacing).max())


@pytest.mark.parametrize("name", CASES)
def test_float32(name: str) -> None:
    function, reference, low, high, bound = CASES[name]
    x = arguments(low, high)
    if function in (trigonometry.sin, trigonometry.cos, trigonometry.tan):
        x = x[~(x.abs() > 1e9) | x.isinf()]  # documented: no angles
    error = ulps(apply(function, x), reference(x.double()))
    assert error <= bound


@pytest.mark.parametrize("name", CASES)
def test_float64(name: str) -> None:
    function, reference, low, high, _ = CASES[name]
    x = arguments(low, high, torch.float64)
    if function in (trigonometry.sin, trigonometry.cos, trigonometry.tan):
        x = x[~(x.abs() > 1e9) | x.isinf()]
    torch.testing.assert_close(
        apply(function, x), reference(x), rtol=1e-12, atol=1e-300, equal_nan=True
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    ("function", "reference"),
    [
        (round_even, torch.round),
        (floor, torch.floor),
        (ceil, torch.ceil),
        (trunc, torch.trunc),
    ],
)
def test_rounding(function: Any, reference: Any, dtype: torch.dtype) -> None:
    halves = torch.arange(-50, 50, dtype=dtype) / 2
    large = torch.tensor([2.0**22 + 0.5, 2.0**23 - 0.5, 2.0**23 + 1, 2.0**31, 2.0**52 - 0.5])
    x = torch.cat([halves, halves.nextafter(torch.tensor(math.inf).to(dtype)), large.to(dtype)])
    x = torch.cat([x, -large.to(dtype), torch.tensor(SPECIAL, dtype=dtype)])
    assert torch.equal(apply(function, x).nan_to_num(7e7), reference(x).nan_to_num(7e7))


def test_powers_whose_ratio_counts() -> None:
    x = torch.cat([torch.linspace(-126, 0, 20001), torch.tensor([-math.inf, -127, -3e38])])
    result, exact = apply(scaled_exp2, x).double(), x.double().exp2()
    assert ((result / result[20000])[:-3] / exact[:-3] - 1).abs().max() < 4e-7
    assert result[-3:].tolist() == [0, 0, 0]


def test_gelu_vanishes_below() -> None:
    x = torch.tensor([-5.7, -100.0, -3e38])
    assert apply(own.gelu, x).tolist() == [0, 0, 0]
    x = arguments(-9, 9)[: -len(SPECIAL)]
    error = apply(own.gelu, x).double() - torch.nn.functional.gelu(x.double())
    assert (error.abs() / x.abs().clamp(min=1)).max() < 3e-7


def test_powers_of_integers_are_integers_in_float64() -> None:
    x = torch.arange(-6.0, 11.0, dtype=torch.float64).repeat(9)
    y = torch.arange(9.0, dtype=torch.float64).repeat_interleave(17)
    assert torch.equal(apply(power, x, y), x.pow(y))


def test_power() -> None:
    numbers = torch.tensor([*SPECIAL, 0.5, -0.5, 2.0, -2.0, 3.0, -3.0, 2.5, -2.5, 100.0, -101.0])
    x, y = torch.cartesian_prod(numbers, numbers).T.contiguous()
    torch.testing.assert_close(apply(power, x, y), x.pow(y), rtol=3e-7, atol=0, equal_nan=True)


def test_atan2() -> None:
    numbers = torch.tensor([*SPECIAL, 0.5, -0.5, 2.0, -2.0])
    y, x = torch.cartesian_prod(numbers, numbers).T.contiguous()
    result = apply(trigonometry.atan2, y, x)
    torch.testing.assert_close(result, torch.atan2(y, x), rtol=2e-7, atol=0, equal_nan=True)


def test_calls_no_library() -> None:
    """Linking fails on undefined symbols; a chain of functions compiles in no time."""
    x = torch.linspace(-1, 1, 64)

    def chain(value: Any) -> Any:
        for _ in range(6):
            value = own.tanh(own.exp(own.gelu(value)))
        return value

    def expected(value: torch.Tensor) -> torch.Tensor:
        for _ in range(6):
            value = torch.tanh(torch.exp(torch.nn.functional.gelu(value)))
        return value

    torch.testing.assert_close(apply(chain, x), expected(x), rtol=1e-5, atol=1e-6)


def test_guarded_function() -> None:
    """What if_then_else guards is not computed outside of it, and may be any function."""
    x = torch.linspace(-2, 2, 30)
    place = te.placeholder((30,), "float32", name="x")
    inner = te.compute((30,), lambda i: own.tanh(place(i)), name="inner")

    def padded(i: Any) -> Any:
        inside = tirx.if_then_else(
            tirx.all(i >= 3, i < 33), inner(i - 3), tirx.const(0.5, "float32")
        )
        return own.exp(inside) + inner(0)

    result = te.compute((37,), padded, name="result")
    (got,) = execute(te.create_prim_func([place, result]), [x], [TensorSpec((37,), "float32")])
    expected = torch.nn.functional.pad(x.tanh(), (3, 4), value=0.5).exp() + x[0].tanh()
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)
