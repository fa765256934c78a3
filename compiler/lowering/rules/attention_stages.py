"""Attention as stages that have many results each: what GPUs want, with thousands of work-items.

The scores are stored as a whole, then the powers of their rows, then the mean of the values.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tvm import te, tirx

from ....targets.cpu.tiles import product_tile
from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..math import exp
from ..math.floats import like, rounded
from .gemm import RightOperand, accumulate, accumulator, broadcast_read, in_panels
from .indices import Index, shape_of
from .moments import per_row
from .row_reduction import row_notes, row_reduce

_FEW_ROWS = 2  # for which keys are not copied to where columns of them are neighbors


@dataclass(frozen=True, kw_only=True)
class StagedAttention:
    """softmax(scale * q k^T + mask) v; q [...,L,E], k [...,S,E], v [...,S,F], mask [...,L,S].

    Attributes:
        query: Its leading axes are those of the result.
        key: Its leading axes broadcast; axis -3 is repeated `repeat` times.
        value: Likewise.
        mask: What keeps (boolean) or is added; may be None.
        scale: Of the products.
        is_causal: Whether row l keeps s <= l.
        repeat: Heads of the query for one of the others.
        out: The result.
    """

    query: te.Tensor
    key: te.Tensor
    value: te.Tensor
    mask: te.Tensor | None
    scale: float
    is_causal: bool
    repeat: int
    out: TensorSpec

    def result(self, kernel: KernelBuilder) -> te.Tensor:
        """All stages; a row that keeps nothing gives zeros."""
        batches, rows = self.out.shape[:-2], self.out.shape[-2]
        keys, width = int(self.key.shape[-2]), self.out.shape[-1]
        dtype = accumulator(self.out.dtype)
        products = self._products(dtype, kernel)
        scores = te.compute(
            (*batches, rows, keys), lambda *at: self._score(products(*at), at), name="scores"
        )
        lead = len(batches) + 1
        highest = row_reduce(scores, 1, "max", kernel)
        top = per_row(highest, lambda most: tirx.max(most, tirx.min_value(dtype)), "top")
        powers = te.compute(
            scores.shape,
            lambda *at: exp(scores(*at) - top(*at[:-1])),
            name="powers",
            attrs=row_notes(lead),
        )
        share = per_row(row_reduce(powers, 1, "sum", kernel), _share, "shares")
        weights = te.compute(
            scores.shape,
            lambda *at: powers(*at) * share(*at[:-1]),
            name="weights",
            attrs=row_notes(lead),
        )
        plain = self._right(self.value, False, (width, keys), rows, kernel)
        total = accumulate(lambda at, m, k: weights(*at, m, k), plain, (rows, keys), dtype, batches)
        return te.compute(
            self.out.shape,
            lambda *at: total(*at).astype(self.out.dtype),
            name="attention",
        )

    def _products(self, dtype: str, kernel: KernelBuilder) -> te.Tensor:
        """q k^T, [...,L,S] at least."""
        batches, rows = self.out.shape[:-2], self.out.shape[-2]
        keys, depth = shape_of(self.key)[-2:]
        if rows > _FEW_ROWS:
            return accumulate(
                lambda at, m, k: broadcast_read(self.query, (*at, m, k)),
                self._right(self.key, True, (keys, depth), rows, kernel),
                (rows, depth),
                dtype,
                batches,
            )

        def product(*at: Index) -> Any:  # each key is a row that is multiplied by a query
            *batch, m, s, k = at
            key = self._read_repeated(partial(_read, self.key, True), batch, k, s)
            return broadcast_read(self.query, (*batch, m, k)).astype(dtype) * key.astype(dtype)

        shape = (*batches, rows, keys, depth)
        return row_reduce(te.compute(shape, product, name="products"), 1, "sum", kernel)

    def _right(
        self,
        tensor: te.Tensor,
        is_transposed: bool,
        sizes: tuple[int, int],
        rows: int,
        kernel: KernelBuilder,
    ) -> RightOperand:
        """[...,k,n] or, transposed, [...,n,k] as the right operand of a product; sizes (n, k)."""
        columns, depth = sizes
        own = partial(_read, tensor, is_transposed)
        operand = RightOperand(columns, own)
        if is_transposed or columns % kernel.target.lanes(32):
            panel = product_tile(kernel.target, rows, columns, depth).columns
            operand = in_panels(operand, depth, shape_of(tensor)[:-2], panel, kernel)
        return replace(operand, read=partial(self._read_repeated, operand.read))

    def _read_repeated(self, read: Any, batch: Sequence[Index], k: Index, n: Index) -> Any:
        if self.repeat > 1:
            batch = [*batch[:-1], tirx.floordiv(batch[-1], self.repeat)]
        return read(batch, k, n)

    def _score(self, product: Any, at: Sequence[Index]) -> Any:
        """A score with its mask."""
        # It is rounded before the highest one is subtracted, which is rounded too.
        score = rounded(product * like(product, self.scale))
        if self.mask is not None:
            mask = broadcast_read(self.mask, at)
            if self.mask.dtype == "bool":
                score = tirx.Select(mask, score, like(score, -math.inf))
            else:
                score = score + mask.astype(score.ty.dtype)
        if self.is_causal:
            score = tirx.Select(at[-1] <= at[-2], score, like(score, -math.inf))
        return score


def _read(
    tensor: te.Tensor, is_transposed: bool, batch: Sequence[Index], k: Index, n: Index
) -> Any:
    return broadcast_read(tensor, (*batch, *((n, k) if is_transposed else (k, n))))


def _share(total: Any) -> Any:
    """What powers are multiplied by. The largest power of a row is 1, if it keeps anything."""
    return tirx.Select(total < like(total, 0.5), like(total, 0), like(total, 1) / total)
