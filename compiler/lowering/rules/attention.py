"""Scaled dot product attention: two products, with a softmax over rows of scores between them."""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from tvm import te, tirx

from ...errors import CompileError
from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..math import exp
from ..registry import lowers
from .gemm import RightOperand, accumulate, accumulator, broadcast_read, finished, right_operand
from .indices import Index, shape_of
from .row_reduction import row_notes, row_reduce

aten = torch.ops.aten


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
    *batches, rows, _ = out.shape
    depth, columns = int(query.shape[-1]), int(key.shape[-2])
    dtype = accumulator(out.dtype)
    products = accumulate(
        lambda batch, m, k: broadcast_read(query, (*batch, m, k)),
        _operand(key, batches, enable_gqa, kernel, k_last=True),
        (rows, depth),
        dtype,
        batches,
    )
    factor = 1 / math.sqrt(depth) if scale is None else scale
    score = partial(_score, products, factor, attn_mask, is_causal, dtype)
    scores = te.compute((*batches, rows, columns), score, name="scores")
    weights = _softmax(scores, dtype, kernel)
    total = accumulate(
        lambda batch, m, k: weights(*batch, m, k),
        _operand(value, batches, enable_gqa, kernel, k_last=False),
        (rows, columns),
        dtype,
        batches,
    )
    return finished(lambda at: total(*at), out)


def _score(
    products: te.Tensor,
    factor: float,
    mask: te.Tensor | None,
    is_causal: bool,
    dtype: str,
    *at: Index,
) -> Any:
    """The masked score of column s = at[-1] in row l = at[-2]."""
    value = products(*at) * tirx.const(factor, dtype)
    kept = [at[-1] <= at[-2]] if is_causal else []
    if mask is not None and mask.dtype == "bool":
        kept.append(broadcast_read(mask, at))
    elif mask is not None:
        value = value + broadcast_read(mask, at).astype(dtype)
    return tirx.Select(tirx.all(*kept), value, tirx.const(-math.inf, dtype)) if kept else value


def _operand(
    tensor: te.Tensor, batches: Sequence[int], repeat: bool, kernel: KernelBuilder, *, k_last: bool
) -> RightOperand:
    """Keys or values, as the right operand of a product with these batch axes."""
    operand = right_operand(tensor, kernel, k_last=k_last)
    if not repeat:
        return operand
    heads = batches[-1] // int(tensor.shape[-3])

    def read(batch: Sequence[Index], k: Index, n: Index) -> Any:
        return operand.read((*batch[:-1], tirx.floordiv(batch[-1], heads)), k, n)

    return replace(operand, read=read)


def _softmax(scores: te.Tensor, dtype: str, kernel: KernelBuilder) -> te.Tensor:
    """Rows of exp(scores) that sum up to 1, or to 0 where every score is -inf."""
    lead = shape_of(scores)[:-1]
    notes = row_notes(len(lead))
    maxima = row_reduce(scores, 1, "max", kernel)

    def power(*at: Index) -> Any:
        finite = tirx.max(maxima(*at[:-1]), tirx.min_value(dtype))  # -inf - -inf is not a number
        return exp(scores(*at) - finite)

    powers = te.compute(scores.shape, power, name="powers", attrs=notes)
    sums = row_reduce(powers, 1, "sum", kernel)

    def share(*row: Index) -> Any:
        total = sums(*row)  # at least 1, which is what the largest score adds, or 0
        none = tirx.const(0, dtype)
        return tirx.Select(total < tirx.const(0.5, dtype), none, tirx.const(1, dtype) / total)

    shares = te.compute(lead, share, name="shares", attrs=notes)
    return te.compute(scores.shape, lambda *at: powers(*at) * shares(*at[:-1]), name="weights")
