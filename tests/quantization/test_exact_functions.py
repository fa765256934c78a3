"""Functions of real numbers with one definition: accurate, and the same bytes in kernels."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode

from penjing.compiler.exact import ops  # noqa: F401  (registers penjing)
from penjing.compiler.exact.functions import FUNCTIONS
from penjing.compiler.exact.tensors import row_sum

from ..lowering import harness
from ..lowering.harness import Weight
from ..lowering.samples import FEW

penjing = torch.ops.penjing
ENDS = [0.0, -0.0, math.inf, -math.inf, 1e-40, -1e-40, 1e30, -1e30, 5.525, -5.525, 88.0, -88.0]
SIZES = st.sampled_from([1, 2, 3, 7, 15, 16, 17, 31, 32, 33, 63, 100, 384])
SCALES = st.sampled_from([1e-30, 1e-3, 1.0, 300.0, 1e18, 1e30])
SHIFTS = st.sampled_from([0.0, -0.0, 3.0, -1e4])


def check(operator: OpOverload, *arguments: Any) -> Tensor:
    """Kernel and eager definition give the same bytes, signs of zeros included."""
    plain = [each.tensor if isinstance(each, Weight) else each for each in arguments]
    wanted: Tensor = operator(*plain)
    with FakeTensorMode() as mode:
        fakes = [mode.from_tensor(x) if isinstance(x, Tensor) else x for x in plain]
        fake = operator(*fakes)
    assert (fake.shape, fake.dtype) == (wanted.shape, wanted.dtype)
    (result,) = harness.run(operator, *arguments)
    both = [torch.where(x.isnan(), 0.5, x) for x in (result, wanted)]  # one number for all NaN
    assert torch.equal(*(x.contiguous().view(torch.int32) for x in both))
    return wanted


def rows(*shape: int, scale: float = 1.0, shift: float = 0.0) -> Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(shape, generator=generator) * scale + shift


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_of_elements(name: str) -> None:
    operator = getattr(penjing, f"exact_{name}").default
    points = torch.cat([torch.tensor(ENDS), torch.linspace(-100, 100, 4001), rows(3000)])
    assert not check(operator, points).isnan().any() or name in ("silu", "gelu_tanh", "gelu")


# name -> reference in float64, bound of the absolute error, and of the error relative to |x|
ACCURACY: dict[str, tuple[Callable[[Tensor], Tensor], float, float]] = {
    "sigmoid": (torch.sigmoid, 1.2e-7, 0),
    "tanh": (torch.tanh, 3.5e-7, 0),
    "silu": (torch.nn.functional.silu, 0, 1.2e-7),
    "gelu": (torch.nn.functional.gelu, 0, 2.3e-7),
    "gelu_tanh": (lambda x: torch.nn.functional.gelu(x, approximate="tanh"), 0, 2e-7),
}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_functions_are_accurate(name: str) -> None:
    reference, absolute, relative = ACCURACY[name]
    x = torch.linspace(-10, 10, 1_000_001)
    error = (getattr(penjing, f"exact_{name}")(x).double() - reference(x.double())).abs()
    assert bool((error <= absolute + relative * x.abs()).all())


def test_gelu_is_nothing_far_below_zero() -> None:
    assert penjing.exact_gelu(torch.tensor([-5.5251, -9.0, -1e38])).tolist() == [0, 0, 0]


def test_exponentials_are_accurate() -> None:
    x = torch.linspace(-87, 88, 1_000_001)
    share = penjing.exact_softmax(torch.stack([x, torch.zeros_like(x)], 1))[:, 0].double()
    wanted = torch.sigmoid(x.double())
    assert float(((share - wanted) / wanted).abs().max()) < 4e-7


@FEW
@given(n=SIZES, count=st.sampled_from([1, 5]), scale=SCALES, shift=SHIFTS)
def test_rows(n: int, count: int, scale: float, shift: float) -> None:
    x = rows(count, n, scale=scale, shift=shift)
    check(penjing.exact_mean.default, x)
    check(penjing.exact_softmax.default, x)


@FEW
@given(
    shape=st.tuples(st.sampled_from([1, 4]), st.sampled_from([1, 2, 5]), SIZES),
    axes=st.sampled_from([1, 1, 2]),
    scale=SCALES,
    shift=SHIFTS,
    eps=st.sampled_from([0.0, 1e-12, 1e-5]),
    affine=st.sampled_from([0, 1, 2]),
    constant=st.booleans(),
)
def test_norms(
    shape: tuple[int, ...],
    axes: int,
    scale: float,
    shift: float,
    eps: float,
    affine: int,
    constant: bool,
) -> None:
    x, tail = rows(*shape, scale=scale, shift=shift), shape[-axes:]
    given_ = [rows(*tail, shift=1.0), rows(*tail)][:affine]
    constants: list[Any] = [Weight(each) if constant else each for each in given_]
    weight, bias = (*constants, None, None)[:2]
    check(penjing.exact_layer_norm.default, x, weight, bias, axes, eps)
    check(penjing.exact_rms_norm.default, x, weight, axes, eps)


def test_products() -> None:
    check(penjing.exact_product.default, rows(3, 1, 17), rows(5, 17))


def test_rows_of_zeros_keep_no_sign() -> None:
    for n in (3, 17, 40):
        x = -torch.zeros(2, n)
        check(penjing.exact_layer_norm.default, x, None, None, 1, 1e-5)
        check(penjing.exact_mean.default, x)


def test_sums_are_those_of_the_definition() -> None:
    """41 = 2 * 16 + 8 + 1: two in each of 16 sums, 8 more join where 8 sums are left, then 1."""
    x = rows(41, scale=1e6)
    sums = [0.0 + x[i] + x[i + 16] for i in range(16)]
    sums = [(sums[i] + sums[i + 8]) + x[32 + i] for i in range(8)]
    sums = [sums[i] + sums[i + 4] for i in range(4)]
    sums = [sums[i] + sums[i + 2] for i in range(2)]
    assert row_sum(x).item() == ((sums[0] + sums[1]) + x[40]).item()


def test_samples_of_a_batch_are_computed_alone() -> None:
    x = rows(3, 4, 37)
    for name in (*FUNCTIONS, "softmax", "mean"):
        operator = getattr(penjing, f"exact_{name}")
        assert torch.equal(torch.vmap(operator)(x), torch.stack([operator(each) for each in x]))


@pytest.mark.parametrize("n", [1, 16, 100, 384])
def test_norms_are_those_of_pytorch(n: int) -> None:
    x, weight, bias = rows(7, n), rows(n, shift=1.0), rows(n)
    found = penjing.exact_layer_norm(x, weight, bias, 1, 1e-5)
    wanted = torch.nn.functional.layer_norm(x.double(), (n,), weight.double(), bias.double(), 1e-5)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=3e-6)
    found = penjing.exact_rms_norm(x, weight, 1, 1e-5)
    wanted = torch.nn.functional.rms_norm(x.double(), (n,), weight.double(), 1e-5)
    torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=3e-6)
    torch.testing.assert_close(penjing.exact_softmax(x), x.softmax(-1))
    torch.testing.assert_close(penjing.exact_mean(x), x.mean(-1))
