"""Attention of int8 tensors, as products and rows of their own."""

from collections.abc import Sequence
from typing import Any

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ...quantization import ops as ops
from ...quantization.arithmetic import INT32_MAX
from ...quantization.attention import ENTRIES, MASKED
from ...quantization.softmax import SUM_BITS
from ..builder import KernelBuilder
from ..registry import lowers
from .gemm import broadcast_read, finished
from .indices import Index, shape_of
from .integer_matrices import steps_product
from .integers import bits_above, integer, multiply_high, narrow, shifted
from .row_reduction import row_reduce


@lowers(torch.ops.penjing.attention_int8.default)
def attention_int8(
    query: te.Tensor,
    key: te.Tensor,
    value: te.Tensor,
    bias: te.Tensor | None,
    table: te.Tensor,
    causal: bool,
    query_zero_point: int,
    key_zero_point: int,
    value_zero_point: int,
    index_multiplier: int,
    index_shift: int,
    total_shift: int,
    multiplier: int,
    shift: int,
    zero_point: int,
    low: int,
    high: int,
    *,
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """round(sum_j e[j] * (value[j] - value_zero_point) / sum_j e[j]), see attention.py."""
    *batches, rows, _ = shape_of(query)
    keys = shape_of(key)[-2]
    points = query_zero_point, key_zero_point
    products = steps_product(query, key, points, batches, kernel, transposed=True)

    def score(*at: Index) -> Any:
        total = products(*at)
        if bias is not None:
            total = total + broadcast_read(bias, at)
        return tirx.Select(at[-1] <= at[-2], total, integer(MASKED)) if causal else total

    shape = (*batches, rows, keys)
    scores = te.compute(shape, score, name="scores", attrs={"schedule": "stored"})
    maxima = row_reduce(scores, 1, "max", kernel, tagged=False)

    def power(*at: Index) -> Any:
        distance = shifted(maxima(*at[:-1]) - scores(*at), index_shift)
        index = tirx.min(multiply_high(distance, index_multiplier), integer(ENTRIES - 1))
        return table(index)

    powers = te.compute(shape, power, name="powers", attrs={"schedule": "stored"})
    wide = te.compute(shape, lambda *at: powers(*at).astype("int32"), name="wide")
    total = row_reduce(wide, 1, "sum", kernel, tagged=False)

    def excess_of(*row: Index) -> Any:
        return bits_above(total(*row) << integer(total_shift), SUM_BITS, 31)

    notes = {"schedule": "stored"}
    excess = te.compute(total.shape, excess_of, name="excess", attrs=notes)

    def factor_of(*row: Index) -> Any:
        divisor = (total(*row) << integer(total_shift)) >> excess(*row)
        reciprocal = tirx.truncdiv(integer(INT32_MAX), divisor).astype("int64")
        product = reciprocal * tirx.const(multiplier, "int64")
        return (product >> tirx.const(16, "int64")).astype("int32")

    factor = te.compute(total.shape, factor_of, name="factor", attrs=notes)
    sums = steps_product(powers, value, (0, value_zero_point), batches, kernel)

    def finish(value: Any, at: Sequence[Index]) -> Any:
        down = excess(*at[:-1]) + integer(shift)
        half = integer(1) << (down - integer(1))
        moved = (multiply_high(value, factor(*at[:-1])) + half) >> down
        return narrow(moved, low, high, zero_point=zero_point)

    return finished(lambda at: sums(*at), out, finish)
