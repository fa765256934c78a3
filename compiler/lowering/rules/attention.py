"""Scaled dot product attention: softmax of scores in blocks that are never stored as a whole."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from tvm import te, tirx

from ....targets.mobile_gpus import MobileGpu
from ...errors import CompileError
from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..registry import lowers
from .attention_head import Head
from .attention_rows import RowBlocks
from .attention_stages import StagedAttention
from .attention_step import Steps, suits
from .gemm import accumulator
from .indices import Index, broadcast_place, shape_of, unflatten_index
from .origins import origin
from .registers import on_threads
from .statements import Statements, load, store

aten = torch.ops.aten
Read = Callable[[Sequence[Index]], Any]


@lowers(aten.scaled_dot_product_attention.default)
def attention(
    query: te.Tensor,
    key: te.Tensor,
    value: te.Tensor,
    attn_mask: te.Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """softmax(scale * q k^T + mask) v; q [...,L,E], k [...,S,E], v [...,S,F], mask [...,L,S].

    A boolean mask keeps what is True; a row that keeps nothing gives zeros. If causal, row l keeps
    s <= l. With `enable_gqa`, axis -3 of k and v is repeated until it is as long as that of q.
    """
    if dropout_p:
        raise CompileError("attention with dropout is random", fix="call model.eval()")
    scale = 1 / math.sqrt(int(query.shape[-1])) if scale is None else scale
    if isinstance(kernel.target, MobileGpu):
        return StagedAttention(
            query=query,
            key=key,
            value=value,
            mask=attn_mask,
            scale=scale,
            is_causal=is_causal,
            repeat=out.shape[-3] // int(key.shape[-3]) if enable_gqa else 1,
            out=out,
        ).result(kernel)
    heads = _Heads(
        (query, key, value, attn_mask),
        scale=scale,
        is_causal=is_causal,
        repeats=enable_gqa,
        out=out,
        axes=kernel.result_axes or list(range(len(out.shape))),
    )

    def statements(number: Index) -> Any:
        head = heads.head(number)
        kind = Steps if suits(head, kernel.target) else RowBlocks
        return kind(head, kernel.target).statements()

    heads.code.add(on_threads(math.prod(out.shape[:-2]), statements))
    return heads.result()


class _Heads:
    """What the heads of one attention read and write."""

    def __init__(
        self,
        operands: tuple[te.Tensor, te.Tensor, te.Tensor, te.Tensor | None],
        *,
        scale: float,
        is_causal: bool,
        repeats: bool,
        out: TensorSpec,
        axes: Sequence[int],
    ) -> None:
        query, key, value, mask = operands
        self.code = Statements()
        self.dtype = accumulator(out.dtype)
        self.shape, self.batches = out.shape, out.shape[:-2]
        self.sizes = (int(key.shape[-2]), int(key.shape[-1]))  # keys, depth
        self.is_causal, self.mask = is_causal, mask
        repeat = self.batches[-1] // int(key.shape[-3]) if repeats else 1
        self._buffers: list[tuple[te.Tensor, Any]] = []
        self._query, self._key = self._reader(query), self._reader(key, repeat)
        self._value = self._reader(value, repeat)
        self._masked = None if mask is None else self._reader(mask)
        self._axes = axes
        self._result = self.code.output([out.shape[axis] for axis in axes], out.dtype)
        # An additive mask may hold the lowest number there is, which has no multiple.
        self._folds = mask is None or mask.dtype == "bool"
        self._scale = scale * (math.log2(math.e) if self._folds else 1)

    def head(self, number: Index) -> Head:
        """The head with a number below the product of the batch sizes."""
        batch = unflatten_index(number, self.batches)
        keys, depth = self.sizes
        common = self.mask is not None and int(self.mask.shape[-2]) == 1
        return Head(
            rows=self.shape[-2],
            keys=keys,
            depth=depth,
            width=self.shape[-1],
            dtype=self.dtype,
            query=lambda row, e: self._wide(self._query, batch, row, e) * self._number(self._scale),
            key=lambda s, e: self._wide(self._key, batch, s, e),
            value=lambda s, f: self._wide(self._value, batch, s, f),
            start=lambda s: self._keep(self._number(0), batch, 0, s) if common else self._number(0),
            masked=self._mask_of_rows(batch, common),
            is_causal=self.is_causal,
            in_powers_of_two=self._folds,
            write=lambda row, f, value: store(
                self._result, value, self._permuted([*batch, row, f])
            ),
        )

    def result(self) -> te.Tensor:
        """The attention in the order of axes that PyTorch has; what is stored is permuted."""
        stored = self.code.tensors("attention")[0]
        if list(self._axes) == list(range(len(self.shape))):
            return stored
        return te.compute(self.shape, lambda *at: stored(*self._permuted(at)), name="heads")

    def _permuted(self, index: Sequence[Index]) -> list[Index]:
        return [index[axis] for axis in self._axes]

    def _mask_of_rows(
        self, batch: Sequence[Index], common: bool
    ) -> Callable[[Any, Index, Index], Any] | None:
        """What rows do to their scores, None if nothing."""
        differs = self._masked is not None and not common
        if not differs and not self.is_causal:
            return None

        def masked(score: Any, row: Index, s: Index) -> Any:
            if differs:
                score = self._keep(score, batch, row, s)
            if self.is_causal:
                score = tirx.Select(s <= row, score, self._number(-math.inf))
            return score

        return masked

    def _keep(self, score: Any, batch: Sequence[Index], row: Index, s: Index) -> Any:
        """A score with the mask of its row and key."""
        assert self._masked is not None and self.mask is not None
        mask = self._masked([*batch, row, s])
        if self.mask.dtype != "bool":
            return score + mask.astype(self.dtype)
        return tirx.Select(mask, score, self._number(-math.inf))

    def _reader(self, tensor: te.Tensor, repeat: int = 1) -> Read:
        """Elements by an index that broadcasts, read where they were before any move."""
        source, place = origin(tensor)
        sizes = shape_of(tensor)
        buffer = next((b for t, b in self._buffers if t.same_as(source)), None)
        if buffer is None:
            buffer = self.code.input(source)
            self._buffers.append((source, buffer))

        def read(index: Sequence[Index]) -> Any:
            if repeat > 1:
                index = [*index[:-3], tirx.floordiv(index[-3], repeat), *index[-2:]]
            return load(buffer, place(broadcast_place(index, sizes)))

        return read

    def _wide(self, read: Read, batch: Sequence[Index], row: Index, column: Index) -> Any:
        return read([*batch, row, column]).astype(self.dtype)

    def _number(self, value: float) -> Any:
        return tirx.const(value, self.dtype)
