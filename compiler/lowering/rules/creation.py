"""Tensors made of numbers that are known at compile time."""

from typing import Any

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..registry import lowers
from .indices import compute

aten = torch.ops.aten


def constant(value: float, dtype: str) -> Any:
    """A number as torch stores it in a tensor of a dtype: rounded, truncated or wrapped."""
    stored = torch.tensor(value).to(TensorSpec((), dtype).torch_dtype)
    return tirx.const(stored.item(), dtype)


@lowers(aten.full.default, aten.full_like.default)
def full(_size: Any, fill_value: float, *, out: TensorSpec, **_: Any) -> te.Tensor:
    """The same number everywhere."""
    return _filled(fill_value, out)


@lowers(aten.new_full.default)
def new_full(
    _like: te.Tensor, _size: Any, fill_value: float, *, out: TensorSpec, **_: Any
) -> te.Tensor:
    """The same number everywhere."""
    return _filled(fill_value, out)


@lowers(aten.scalar_tensor.default)
def scalar_tensor(value: float, *, out: TensorSpec, **_: Any) -> te.Tensor:
    """A scalar."""
    return _filled(value, out)


@lowers(aten.ones.default, aten.ones_like.default, aten.new_ones.default)
def ones(*_: Any, out: TensorSpec, **__: Any) -> te.Tensor:
    """One everywhere."""
    return _filled(1, out)


@lowers(
    aten.zeros.default,
    aten.zeros_like.default,
    aten.new_zeros.default,
    aten.empty.memory_format,
    aten.empty_like.default,
    aten.empty_permuted.default,
    aten.empty_strided.default,
    aten.new_empty.default,
    aten.new_empty_strided.default,
)
def zeros(*_: Any, out: TensorSpec, **__: Any) -> te.Tensor:
    """Zero everywhere, also where torch leaves the memory as it is: builds are reproducible."""
    return _filled(0, out)


@lowers(aten.eye.default, aten.eye.m)
def eye(*_: int, out: TensorSpec, **__: Any) -> te.Tensor:
    """One on the diagonal, zero elsewhere."""
    one, zero = tirx.const(1, out.dtype), tirx.const(0, out.dtype)
    return compute(out.shape, lambda at: tirx.Select(at[0].equal(at[1]), one, zero), "eye")


def _filled(value: float, out: TensorSpec) -> te.Tensor:
    number = constant(value, out.dtype)
    return compute(out.shape, lambda _: number, "full")


def _lower_as_table(op: Any) -> None:
    """Register an op without tensor arguments: its result is computed now and stored."""

    @lowers(op)
    def rule(*args: Any, out: TensorSpec, kernel: KernelBuilder, **options: Any) -> te.Tensor:
        """The numbers as torch computes them now, stored in a table."""
        numbers = op(*args, **{**options, "dtype": out.torch_dtype, "device": "cpu"})
        stored = numbers.float() if out.dtype == "bfloat16" else numbers
        table = kernel.table(stored.numpy(), "numbers")
        return compute(out.shape, lambda at: table(*at).astype(out.dtype), "numbers")


for _op in (
    aten.arange.default,
    aten.arange.start,
    aten.arange.start_step,
    aten.linspace.default,
    aten.logspace.default,
    aten.tril_indices.default,
    aten.triu_indices.default,
):
    _lower_as_table(_op)
