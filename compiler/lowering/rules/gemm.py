"""The accumulation that all matrix products share: P[m,n] = sum_k left[m,k] * right[k,n].

The stage is tagged {"schedule": "gemm"}: axes (batch..., m, n), one reduction axis k. A right
operand that is a weight is packed at compile time as panels [n / NR, k, NR], where NR is that of
the register tile for the shape (targets/cpu/tiles.py); one that is not is packed by the kernel,
unless its rows are whole vectors already. P then has n rounded up to whole vectors, so that none
is partial, and the stage that follows drops the padding.
"""

import math
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from tvm import te, tirx

from ....targets.cpu.half_arithmetic import for_sums
from ....targets.cpu.tiles import MANY_ROWS, PACKED_COLUMNS, Tile, product_tile
from ...ir.tensor_spec import TensorSpec
from ..builder import Array, KernelBuilder
from .indices import Index, flatten_index, guarded, shape_of, unflatten_index, within
from .row_reduction import row_reduce

Finish = Callable[[Any, Sequence[Index]], Any]  # (accumulated value, index in the output) -> value


@dataclass(frozen=True)
class RightOperand:
    """The right operand as the accumulation reads it: `read(batch index, k, n)`.

    `columns` counts n, rounded up to whole vectors where it is packed in panels, which are `panel`
    wide (0: not packed).
    """

    columns: int
    read: Callable[[Sequence[Index], Index, Index], Any]
    panel: int = 0
    tile: Tile | None = None  # of the product it is packed for
    sums: str = ""  # the dtype to sum in, if it is not the usual one
    multiply: Callable[[Any, Any], Any] = operator.mul  # its element, and that of the left operand


def accumulator(dtype: str) -> str:
    """The dtype in which products of `dtype` are summed."""
    return "float32" if dtype in ("float16", "bfloat16") else dtype


def sums_of(dtype: str, kernel: KernelBuilder) -> str:
    """The dtype in which the products that take most of the time are summed."""
    narrow = kernel.options.half_arithmetic and dtype == "float16"
    return dtype if narrow else accumulator(dtype)


def right_operand(
    tensor: te.Tensor,
    kernel: KernelBuilder,
    *,
    k_last: bool,
    rows: int = MANY_ROWS,
    taps: int = 0,
) -> RightOperand:
    """Wrap `tensor` [..., k, n], or [..., n, k] if `k_last`; weights are packed in panels.

    `rows` are those of the left operand; `taps` more axes of size 1 may follow.
    """
    *batches, depth, columns = shape_of(tensor)[: len(tensor.shape) - taps]
    if k_last:
        depth, columns = columns, depth
    sums = sums_of(str(tensor.dtype), kernel)
    target = for_sums(kernel.target, sums)
    packs = not batches and sums != "float16"  # no room for more rows in registers 0 to 15
    tile = product_tile(target, rows, columns, depth, packs=packs)
    width = tile.columns
    if not kernel.is_constant(tensor):
        plain = RightOperand(columns, partial(_read_plain, tensor, k_last, taps), sums=sums)
        contiguous = not k_last and columns % target.lanes(32) == 0
        return plain if contiguous else in_panels(plain, depth, batches, width, kernel)
    name = f"panels{width}_{'nk' if k_last else 'kn'}"
    transform = partial(pack_matrix, width=width, k_last=k_last, taps=taps)
    packed = kernel.pack(tensor, transform, name)
    return replace(read_in_panels(packed, columns, sums, kernel), tile=tile)


def in_panels(
    right: RightOperand, depth: int, batches: Sequence[int], width: int, kernel: KernelBuilder
) -> RightOperand:
    """The operand copied to panels of whole vectors while the kernel runs, the last one padded."""
    blocks = -(-right.columns // width)

    def element(*at: Index) -> Any:
        *batch, block, k, column = at
        n = block * width + column
        value = right.read(batch, k, n)
        inside = within(n, 0, right.columns, blocks * width)
        return guarded(inside, value, tirx.const(0, value.ty.dtype))

    shape = (*batches, blocks, depth, width)
    panels = te.compute(shape, element, name="panels", attrs={"schedule": "pad"})
    return read_in_panels(panels, right.columns, right.sums, kernel)


def read_in_panels(
    packed: te.Tensor, columns: int, sums: str, kernel: KernelBuilder
) -> RightOperand:
    """The operand in panels [..., n / width, k, width] of which whole vectors are computed."""
    rounded = columns + -columns % for_sums(kernel.target, sums).lanes(32)
    return RightOperand(rounded, partial(_read_panels, packed), int(packed.shape[-1]), sums=sums)


def flat_product(
    left: te.Tensor, right: RightOperand, out: TensorSpec, finish: Finish | None = None
) -> te.Tensor:
    """The product left [..., k] * right [k, n], left's leading axes taken as one axis m."""
    *rows, depth = shape_of(left)
    total = rows_product(
        lambda m, k: left(*unflatten_index(m, rows), k),
        right,
        (math.prod(rows), depth),
        right.sums or accumulator(out.dtype),
    )
    return finished(lambda at: total(flatten_index(at[:-1], rows), at[-1]), out, finish)


def rows_product(
    left: Callable[[Index, Index], Any], right: RightOperand, extents: tuple[int, int], dtype: str
) -> te.Tensor:
    """P[m, n] = sum_k left(m, k) * right.read(k, n); the rows are packed where that pays."""
    rows, depth = extents
    if right.tile is None or not right.tile.packs:
        return accumulate(lambda batch, m, k: left(m, k), right, extents, dtype)
    height, lanes = right.tile.rows, PACKED_COLUMNS

    def element(tile: Index, group: Index, row: Index, column: Index) -> Any:
        m, k = tile * height + row, group * lanes + column
        value = left(m, k)
        inside = within(m, 0, rows, rows + -rows % height) + within(
            k, 0, depth, depth + -depth % lanes
        )
        return guarded(inside, value, tirx.const(0, value.ty.dtype))

    shape = (-(-rows // height), -(-depth // lanes), height, lanes)
    notes = {"schedule": "pack_rows", "rows_count": rows, "columns_count": depth}
    packed = te.compute(shape, element, name="packed_rows", attrs=notes)

    def read(batch: Sequence[Index], m: Index, k: Index) -> Any:
        return packed(m // height, k // lanes, m % height, k % lanes)

    return accumulate(read, right, extents, dtype)


def row_sums(
    left: te.Tensor,
    right: Callable[[Index], Any],
    out: TensorSpec,
    kernel: KernelBuilder,
    finish: Finish | None = None,
) -> te.Tensor:
    """The product left [..., k] * right [k]: a matrix of one column is no work for a tile.

    `out` has left's leading axes, and perhaps one more of size 1.
    """
    dtype = accumulator(out.dtype)

    def product(*at: Index) -> Any:
        return left(*at).astype(dtype) * right(at[-1]).astype(dtype)

    products = te.compute(left.shape, product, name="products")
    total = row_reduce(products, 1, "sum", kernel)
    return finished(lambda at: total(*at[: len(total.shape)]), out, finish)


def accumulate(
    left: Callable[[Sequence[Index], Index, Index], Any],
    right: RightOperand,
    extents: tuple[int, int],
    dtype: str,
    batches: Sequence[int] = (),
) -> te.Tensor:
    """P[batch..., m, n] = sum_k left(batch, m, k) * right.read(batch, k, n) in `dtype`.

    `extents` are those of m and k, `batches` those of the batch axes.
    """
    rows, depth = extents
    k = te.reduce_axis((0, depth), name="k")

    def element(*at: Index) -> Any:
        *batch, m, n = at
        # Right first: stages run in the order they are read, and what makes the left operand of
        # an attention (the rows of its softmax) should come last.
        weight, value = right.read(batch, k, n).astype(dtype), left(batch, m, k).astype(dtype)
        return te.sum(right.multiply(weight, value), axis=k)

    shape = (*batches, rows, right.columns)
    notes = {"schedule": "gemm", "panel": right.panel}
    return te.compute(shape, element, name="gemm", attrs=notes)


def finished(
    read: Callable[[Sequence[Index]], Any], out: TensorSpec, finish: Finish | None = None
) -> te.Tensor:
    """The output stage: reads the accumulated value of each element, without the padding."""

    def element(*at: Index) -> Any:
        value = read(at)
        return (value if finish is None else finish(value, at)).astype(out.dtype)

    return te.compute(out.shape, element, name="output")


def broadcast_read(tensor: te.Tensor, at: Sequence[Index]) -> Any:
    """The element of `tensor` that broadcasts to index `at` of a result of at least its rank."""
    sizes = shape_of(tensor)
    last = at[len(at) - len(sizes) :]
    return tensor(*(0 if size == 1 else i for i, size in zip(last, sizes, strict=True)))


def _read_plain(
    tensor: te.Tensor, k_last: bool, taps: int, batch: Sequence[Index], k: Index, n: Index
) -> Any:
    sizes = shape_of(tensor)[: -2 - taps]
    own = batch[len(batch) - len(sizes) :]
    lead = [0 if size == 1 else i for i, size in zip(own, sizes, strict=True)]
    return tensor(*lead, *((n, k) if k_last else (k, n)), *[0] * taps)


def _read_panels(packed: te.Tensor, batch: Sequence[Index], k: Index, n: Index) -> Any:
    *sizes, _, _, width = shape_of(packed)
    own = batch[len(batch) - len(sizes) :]
    lead = [0 if size == 1 else i for i, size in zip(own, sizes, strict=True)]
    return packed(*lead, tirx.floordiv(n, width), k, tirx.floormod(n, width))


def pack_matrix(weight: Array, *, width: int, k_last: bool, taps: int) -> Array:
    """[..., k, n] (or [..., n, k]) -> [..., n / width, k, width], the last panel zero-padded."""
    weight = weight.reshape(weight.shape[: weight.ndim - taps])
    columns_first = weight if k_last else weight.swapaxes(-1, -2)
    *batch, n, k = columns_first.shape
    padding = [(0, 0)] * len(batch) + [(0, -n % width), (0, 0)]
    panels = np.pad(columns_first, padding).reshape(*batch, -1, width, k)
    return panels.swapaxes(-1, -2)
