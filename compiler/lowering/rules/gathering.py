"""Operators that read elements at places known only at run time.

PyTorch raises on an index out of range; compiled code reads the nearest element instead
(`indices.clamp_index`).
"""

from collections.abc import Sequence
from math import prod
from typing import Any

import torch
from tvm import te

from ...errors import CompileError
from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..registry import lowers
from .advanced_index import advanced_index
from .gemm import right_operand
from .indices import (
    Index,
    broadcast_place,
    clamp_index,
    compute,
    flatten_index,
    shape_of,
    unflatten_index,
    with_axis,
    wrap_axis,
    wrap_index,
)

aten = torch.ops.aten


@lowers(aten.embedding.default)
def embedding(
    weight: te.Tensor,
    indices: te.Tensor,
    padding_idx: int = -1,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """y[.., d] = weight[indices[..], d]; the options only matter in training.

    A weight that is also the matrix of a linear layer is read from the panels of that.
    """
    rows = shape_of(weight)[0]
    product_rows = kernel.product_rows(weight)
    panels = right_operand(weight, kernel, k_last=True, rows=product_rows) if product_rows else None

    def element(index: list[Index]) -> Any:
        row = clamp_index(indices(*index[:-1]), rows)
        return weight(row, index[-1]) if panels is None else panels.read((), index[-1], row)

    return compute(out.shape, element, "embedding")


@lowers(aten.gather.default)
def gather(
    x: te.Tensor, dim: int, index: te.Tensor, *, sparse_grad: bool = False, out: TensorSpec
) -> te.Tensor:
    """y[.., i, ..] = x[.., index[.., i, ..], ..]."""
    sizes = shape_of(x)
    axis = wrap_axis(dim, len(sizes))

    def element(at: list[Index]) -> Any:
        place = with_axis(at, axis, clamp_index(index(*at), (*sizes, 1)[axis]))
        return x(*place[: len(sizes)])

    return compute(out.shape, element, "gather")


@lowers(aten.take_along_dim.default)
def take_along_dim(
    x: te.Tensor, indices: te.Tensor, dim: int | None = None, *, out: TensorSpec
) -> te.Tensor:
    """`gather` of broadcast tensors; without dim, of the flat elements."""
    if dim is None:
        return take(x, indices, out=out)
    sizes, index_sizes = shape_of(x), shape_of(indices)
    axis = wrap_axis(dim, len(sizes))

    def element(at: list[Index]) -> Any:
        place = clamp_index(indices(*broadcast_place(at, index_sizes)), sizes[axis])
        return x(*with_axis(broadcast_place(at, with_axis(sizes, axis, 1)), axis, place))

    return compute(out.shape, element, "gather")


@lowers(aten.take.default)
def take(x: te.Tensor, index: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """Elements of x by their row-major position."""
    sizes = shape_of(x)

    def element(at: list[Index]) -> Any:
        at = [flatten_index(at, out.shape)] if len(at) != len(index.shape) else at
        return x(*unflatten_index(wrap_index(index(*at), prod(sizes)), sizes))

    return compute(out.shape, element, "take")


@lowers(aten.index_select.default)
def index_select(x: te.Tensor, dim: int, index: te.Tensor, *, out: TensorSpec) -> te.Tensor:
    """y[.., i, ..] = x[.., index[i], ..]."""
    sizes = shape_of(x)
    if not sizes:
        return compute(out.shape, lambda _: x(), "index_select")
    axis = wrap_axis(dim, len(sizes))

    def element(at: list[Index]) -> Any:
        place = index(at[axis]) if index.shape else index()
        return x(*with_axis(at, axis, clamp_index(place, sizes[axis])))

    return compute(out.shape, element, "index_select")


@lowers(aten.index.Tensor, aten._unsafe_index.Tensor)
def index_tensor(
    x: te.Tensor, indices: Sequence[te.Tensor | None], *, out: TensorSpec
) -> te.Tensor:
    """x[indices]: index tensors broadcast, axes without one stay."""
    meaning = advanced_index(shape_of(x), indices)
    readers = [_reader(index) for index in indices if index is not None]
    return compute(out.shape, lambda at: x(*meaning.place(at, readers)), "index")


@lowers(aten.one_hot.default)
def one_hot(x: te.Tensor, num_classes: int = -1, *, out: TensorSpec) -> te.Tensor:
    """y[.., c] = 1 where x[..] = c, else 0."""
    if num_classes < 0:
        raise CompileError(
            "one_hot finds the number of classes in the data; shapes must be static",
            fix="give num_classes",
        )

    def element(index: list[Index]) -> Any:
        return x(*index[:-1]).equal(index[-1].astype(str(x.dtype))).astype(out.dtype)

    return compute(out.shape, element, "one_hot")


def _reader(tensor: te.Tensor) -> Any:
    return lambda index: tensor(*index)
