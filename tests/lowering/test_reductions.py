"""Reductions against torch: every set of axes, kept or not, and the dtypes they are computed in."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch._ops import OpOverload

import penjing
from penjing.compiler.frontend.decompositions import decomposition_table
from penjing.targets.cpu.codegen import assembly, lower_kernel
from penjing.targets.cpu.schedule import schedule_kernel
from penjing.targets.registry import get

from .harness import build, check
from .samples import random
from .strategies import DTYPES, shapes

aten = torch.ops.aten
FLOATS = [torch.float32, torch.float16, torch.bfloat16]
NORMS = [0, 1, 2, 3, 2.5, -1, math.inf, -math.inf]
Reduction = tuple[tuple[int, ...], list[int]]

examples = settings(max_examples=12, deadline=None, derandomize=True)


@st.composite
def reductions(draw: st.DrawFn) -> Reduction:
    """A shape and some of its axes, counted from either end; none stands for all."""
    sizes = draw(shapes(min_rank=0))
    rank = len(sizes)
    axes = draw(st.lists(st.integers(0, rank - 1), unique=True)) if rank else []
    return sizes, [axis - rank * draw(st.integers(0, 1)) for axis in axes]


def samples(shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
    """Normal numbers, integers from -9 to 9, or one True in four."""
    return random(*shape) > 0.7 if dtype is torch.bool else random(*shape, dtype=dtype)


def slack(dtype: torch.dtype) -> float:
    """The absolute error to expect where numbers of about unit size cancel."""
    return 32 * torch.finfo(dtype).eps if dtype.is_floating_point else 0


@examples
@given(
    op=st.sampled_from([aten.sum.dim_IntList, aten.amax.default, aten.amin.default]),
    reduction=reductions(),
    keepdim=st.booleans(),
    dtype=st.sampled_from([*DTYPES, torch.int8, torch.float64]),
)
def test_sums_and_extrema(
    op: OpOverload, reduction: Reduction, keepdim: bool, dtype: torch.dtype
) -> None:
    shape, axes = reduction
    check(op, samples(shape, dtype), axes, keepdim, atol=slack(dtype))


@examples
@given(
    reduction=reductions(),
    keepdim=st.booleans(),
    dtype=st.sampled_from(FLOATS),
    correction=st.sampled_from([None, 0, 1, 2]),
)
def test_means_and_variances(
    reduction: Reduction, keepdim: bool, dtype: torch.dtype, correction: int | None
) -> None:
    shape, axes = reduction
    x, atol = samples(shape, dtype), slack(dtype)
    check(aten.mean.dim, x, axes, keepdim, atol=atol)
    check(aten.var.correction, x, axes, correction=correction, keepdim=keepdim, atol=atol)
    check(aten.var_mean.correction, x, axes, correction=correction, keepdim=keepdim, atol=atol)


@examples
@given(
    shape=shapes(),
    axis=st.integers(-1, 0),
    keepdim=st.booleans(),
    dtype=st.sampled_from([*DTYPES, torch.uint8]),
)
def test_places_of_extrema(
    shape: tuple[int, ...], axis: int, keepdim: bool, dtype: torch.dtype
) -> None:
    x = samples(shape, torch.int32).to(dtype)  # with ties
    check(aten.max.dim, x, axis, keepdim)
    check(aten.min.dim, x, axis, keepdim)
    if dtype is not torch.bool:
        check(aten.argmax.default, x, axis, keepdim)
        check(aten.argmin.default, x)


@examples
@given(reduction=reductions(), keepdim=st.booleans(), dtype=st.sampled_from(DTYPES))
def test_any(reduction: Reduction, keepdim: bool, dtype: torch.dtype) -> None:
    shape, axes = reduction
    x = samples(shape, torch.bool).to(dtype)
    check(aten.any.default, x)
    check(aten.any.dims, x, axes or None, keepdim)
    if shape:
        check(aten.any.dim, x, -1, keepdim)


@examples
@given(
    reduction=reductions(),
    order=st.sampled_from(NORMS),
    keepdim=st.booleans(),
    dtype=st.sampled_from(FLOATS),
)
def test_norms(reduction: Reduction, order: float, keepdim: bool, dtype: torch.dtype) -> None:
    shape, axes = reduction
    norm = aten.linalg_vector_norm.default
    check(norm, samples(shape, dtype), order, axes or None, keepdim, atol=slack(dtype), rtol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int32, torch.bool, torch.bfloat16])
def test_products(dtype: torch.dtype) -> None:
    x = samples((3, 5, 9), dtype)
    check(aten.prod.default, x)
    check(aten.prod.dim_int, x, 1)
    check(aten.prod.dim_int, x, -1, True)
    check(aten.prod.dim_int, x[:, :1, :1], 0, True)  # one result


def test_result_dtype_is_the_one_of_the_sum() -> None:
    x = random(3, 40, dtype=torch.int32) * 2**27
    check(aten.sum.dim_IntList, x, [1])  # int64: no overflow
    check(aten.sum.dim_IntList, x, [1], dtype=torch.float32)
    check(aten.mean.dim, x, [1], dtype=torch.float64)
    check(aten.sum.dim_IntList, random(3, 40, dtype=torch.float16), [0], dtype=torch.float32)
    check(aten.linalg_vector_norm.default, random(40), dtype=torch.float64)


def test_half_precision_is_summed_in_single() -> None:
    ones = torch.ones(2, 5000, dtype=torch.float16)  # beyond 2048, adding 1 changes nothing
    check(aten.sum.dim_IntList, ones, [1])
    check(aten.sum.dim_IntList, ones.T.contiguous(), [0])


@pytest.mark.parametrize("axis", [0, 1])
def test_nan_wins(axis: int) -> None:
    x = random(33, 37)
    x[5, 3] = x[7, 36] = x[20, 3] = torch.nan
    x[0, 1] = -x[5, 3]
    check(aten.amax.default, x, [axis])
    check(aten.min.dim, x, axis)
    check(aten.argmax.default, x, axis)
    check(aten.any.dim, torch.where(x.isnan(), x, 0), axis)


def test_nothing_to_reduce() -> None:
    empty, scalar = torch.zeros(0, 3), torch.tensor(2.0)
    for op in (aten.sum.dim_IntList, aten.mean.dim, aten.any.dims):
        check(op, empty, [0])
    check(aten.var.correction, empty, [0])
    check(aten.prod.default, empty)
    check(aten.sum.dim_IntList, scalar, [])
    check(aten.max.dim, scalar, 0)
    check(aten.argmin.default, scalar)


@pytest.mark.parametrize("axis", [0, 1])
def test_loops_are_vectors(axis: int) -> None:
    target = get("arm-a72")
    function, inputs, _ = build(aten.mean.dim, random(128, 384), [axis])
    scheduled = schedule_kernel(function, target, inputs=len(inputs), parallel=False)
    code = assembly([lower_kernel(scheduled, "kernel", target)], target)
    kernel = code[code.index("kernel:") : code.index("ret")]
    assert kernel.count(".4s") >= 4  # sums side by side
    assert kernel.count("ldr\ts") <= 1  # no element is loaded by itself


class Summaries(nn.Module):
    """Reductions among elementwise operations, large enough for threads."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        largest, place = x.max(-1)
        variance, mean = torch.var_mean(x, dim=-1)
        return (
            (x.relu() * 2).sum(-1).sigmoid(),
            x / x.norm(dim=-1, keepdim=True),
            largest - mean,
            place,
            variance.sqrt(),
            torch.logsumexp(x, 0),
            x.exp().mean((0, 2)),
            (x > -4).all(1),
            x.argmax(),
        )


@pytest.mark.parametrize("threads", [1, 2])
def test_fused_and_on_threads(threads: int) -> None:
    x, model = random(8, 33, 130), Summaries()
    compiled = penjing.compile(model, (x,), target="host", threads=threads)
    for got, wanted in zip(compiled.run(x), model(x), strict=True):
        torch.testing.assert_close(torch.as_tensor(got), wanted, rtol=1e-5, atol=1e-5)


def test_other_reductions_are_decomposed() -> None:
    others = [aten.std.correction, aten.all.dims, aten.logsumexp.default, aten.aminmax.default]
    others += [aten.norm.ScalarOpt_dim, aten.count_nonzero.dim_IntList, aten.std_mean.correction]
    assert decomposition_table().keys() >= set(others)
