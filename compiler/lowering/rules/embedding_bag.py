"""Sums, means and maxima of bags of embeddings."""

from dataclasses import dataclass
from typing import Any

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..registry import lowers
from .indices import Index, clamp_index, shape_of
from .statements import Element, Statements, for_each, load, loop, store

aten = torch.ops.aten

_SUM, _MEAN, _MAX = range(3)  # mode


@lowers(
    aten._embedding_bag.default,
    aten._embedding_bag_forward_only.default,
    aten.embedding_bag.default,
    aten.embedding_bag.padding_idx,
)
def embedding_bag(
    weight: te.Tensor,
    indices: te.Tensor,
    offsets: te.Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = _SUM,
    sparse: bool = False,
    per_sample_weights: te.Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = -1,
    *,
    out: tuple[TensorSpec, ...],
) -> tuple[te.Tensor | None, ...]:
    """y[b] = reduction of weight[indices[k]] over k in [offsets[b], offsets[b + 1]); 0 if none.

    Entries equal to `padding_idx` do not count. The other results only serve training.
    """
    shape, dtype = out[0].shape, out[0].dtype
    steps = Statements()
    bags = _Bags(
        rows=shape_of(weight)[0],
        entries=shape_of(indices)[0],
        width=shape[1],
        mode=mode,
        padding=-1 if padding_idx is None else padding_idx,
        weight=steps.reader(weight),
        row=steps.reader(indices),
        factor=steps.reader(1 if per_sample_weights is None else per_sample_weights, dtype),
        result=steps.output(shape, dtype),
        count=steps.output((), "int32"),
    )
    start, starts = steps.reader(offsets), shape_of(offsets)[0]

    def fill(at: list[Index]) -> Any:
        """Bag `at`, from its first entry to the first of the next, or to the end."""
        first = clamp_index(start(at), bags.entries + 1)
        (bag,) = at
        following = clamp_index(start([bag + 1]), bags.entries + 1)
        if starts == shape[0]:
            following = tirx.if_then_else(bag + 1 < starts, following, bags.entries)
        return bags.fill(bag, first, following)

    steps.fill(bags.result, lambda _: tirx.const(0, dtype))
    steps.add(for_each(shape[:1], fill))
    return (steps.tensors("embedding_bag")[0], *(None for _ in out[1:]))


@dataclass(frozen=True, kw_only=True)
class _Bags:
    """The statements that reduce the embeddings of one bag."""

    rows: int
    entries: int
    width: int
    mode: int
    padding: int  # index that does not count; negative = none
    weight: Element
    row: Element
    factor: Element
    result: Any  # buffer [bag, width]
    count: Any  # buffer (): entries of the bag so far

    def fill(self, bag: Index, first: Index, end: Index) -> Any:
        k = tirx.Var("k", "int32")
        entries = loop(k, first, tirx.max(end - first, 0), self._entry(bag, k))
        statements = [store(self.count, tirx.const(0, "int32"), []), entries]
        if self.mode == _MEAN:
            statements.append(for_each([self.width], lambda at: self._divide([bag, *at])))
        return tirx.SeqStmt(statements)

    def _entry(self, bag: Index, k: Index) -> Any:
        row = clamp_index(self.row([k]), self.rows)
        add = for_each([self.width], lambda at: self._add([bag, *at], row, k))
        counted = store(self.count, load(self.count, []) + 1, [])
        both = tirx.SeqStmt([add, counted])
        if self.padding < 0:
            return both
        return tirx.IfThenElse(tirx.Not(self.row([k]).equal(self.padding)), both, None)

    def _add(self, place: list[Index], row: Index, k: Index) -> Any:
        new = self.weight([row, place[-1]]) * self.factor([k])
        old = load(self.result, place)
        both = tirx.Select(old < new, new, old) if self.mode == _MAX else old + new
        return store(self.result, tirx.Select(load(self.count, []) < 1, new, both), place)

    def _divide(self, place: list[Index]) -> Any:
        count = tirx.max(load(self.count, []), 1).astype(str(self.result.dtype))
        return store(self.result, load(self.result, place) / count, place)
