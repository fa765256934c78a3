"""Fully connected layers against torch, with constant and with computed weights."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import penjing

from .harness import check
from .samples import FEW, SIZES, random, weight

aten = torch.ops.aten
LEADING = st.lists(st.sampled_from([1, 2, 3, 5]), max_size=3)


@FEW
@given(LEADING, SIZES, SIZES, st.booleans(), st.booleans())
def test_linear(
    leading: list[int], inputs: int, outputs: int, biased: bool, constant: bool
) -> None:
    w = weight(random(outputs, inputs), constant)
    b = weight(random(outputs), constant) if biased else None
    check(aten.linear.default, random(*leading, inputs), w, b, atol=1e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("constant", [False, True])
def test_linear_in_other_floats(dtype: torch.dtype, constant: bool) -> None:
    w, b = random(9, 17, dtype=dtype), random(9, dtype=dtype)
    # torch rounds to the storage dtype once more, before it adds the bias
    atol = None if dtype is torch.float64 else 4 * torch.finfo(dtype).eps * 17**0.5
    check(
        aten.linear.default,
        random(5, 17, dtype=dtype),
        weight(w, constant),
        weight(b, constant),
        atol=atol,
    )


@FEW
@given(
    SIZES,
    SIZES,
    st.sampled_from([(), (1,), (9,), (1, 1), (5, 1), (1, 9), (5, 9)]),
    st.sampled_from([(1, 1), (0.5, 2.0), (0, 1), (1, -0.25)]),
)
def test_addmm(
    depth: int, scale: int, shape: tuple[int, ...], factors: tuple[float, float]
) -> None:
    beta, alpha = factors
    c, x, y = random(*shape), random(5, depth), random(depth, 9)
    check(aten.addmm.default, c, x, weight(y, scale > 8), beta=beta, alpha=alpha, atol=1e-5)


def test_addmm_of_integers() -> None:
    args = [random(*shape, dtype=torch.int64) for shape in ((3,), (2, 5), (5, 3))]
    check(aten.addmm.default, *args, beta=2, alpha=3)


def test_addmv_and_baddbmm() -> None:
    check(aten.addmv.default, random(3), random(3, 7), random(7), beta=0.5, alpha=2.0, atol=1e-5)
    args = random(1, 3, 9), random(4, 3, 7), random(4, 7, 9)
    check(aten.baddbmm.default, *args, beta=0.5, alpha=2.0, atol=1e-5)
    check(aten.addbmm.default, random(3, 9), *args[1:], beta=0.5, alpha=2.0, atol=1e-5)


@pytest.mark.qemu
@pytest.mark.parametrize("leading", [(2, 20), (3, 5, 7)])
def test_rows_of_several_axes_on_arm(leading: tuple[int, ...]) -> None:
    layer, x = torch.nn.Linear(16, 24), random(*leading, 16)
    artifact = penjing.compile(layer, (x,), target="arm-a72")
    wanted = layer(x).detach()
    torch.testing.assert_close(torch.as_tensor(artifact.run(x)[0]), wanted, rtol=1e-5, atol=1e-5)
