"""Attention in integers: scores stay int32, exponentials are int16, one division per row."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from ..errors import CompileError
from .arithmetic import INT32_MAX, multiply_high, shifted
from .scales import QuantizedRange, Rescaling
from .softmax import SUM_BITS

ENTRIES = 1024
STEP = 10.5 / ENTRIES  # nats; e^-10.5 * (2^15 - 1) rounds to 1
SUM_OF_BITS = 22  # those of an exponential, and of the number of keys
MOST_KEYS = 2**14  # of a row, and features of a key: what is summed fits 32 bits
MOST_FEATURES = 2**11
MASKED = -(2**30)  # the score of a key that is not looked at; less than every other
LEAST_BIAS = -(2**29)


@dataclass(frozen=True)
class AttentionPlan:
    """The constants of one attention.

    Args:
        table: [1024] int16, round((2^b - 1) * exp(-i * 10.5 / 1024)) at i, 0 at the end. Its b bits
            are as many as leave room for sums over all keys, at most 15.
        index_multiplier: Of differences of scores, to indices of the table.
        index_shift: Theirs too.
        total_shift: 16 - b: a total is at least 2^b - 1, and so shifted has 16 bits.
        multiplier: Value scale / output scale as `multiplier` / 2^31 * 2^(b - 1 - shift).
        shift: See there.
        bias_step: What one step of a bias of the scores is, after they are scaled.
    """

    table: Tensor
    index_multiplier: int
    index_shift: int
    total_shift: int
    multiplier: int
    shift: int
    bias_step: float

    @classmethod
    def of(
        cls,
        ranges: tuple[QuantizedRange, QuantizedRange, QuantizedRange],
        scale: float,
        result: QuantizedRange,
        keys: int,
        factor: float = 1.0,
    ) -> "AttentionPlan":
        """The constants for queries, keys and values.

        Args:
            ranges: Of queries, keys and values.
            scale: What scores are multiplied with.
            result: The range of the result.
            keys: How many each query looks at.
            factor: What the result is multiplied with.

        Raises:
            CompileError: A step of the values is not in [2^-4, 2^5) steps of the result.
        """
        query, key, value = ranges
        step = query.scale * key.scale * scale
        bits = min(15, SUM_OF_BITS - math.ceil(math.log2(keys)))
        distances = torch.arange(ENTRIES, dtype=torch.float64)
        table = torch.round((2**bits - 1) * torch.exp(-distances * STEP)).to(torch.int16)
        table[-1] = 0
        ratio = value.scale * factor / result.scale
        if not 2.0**-4 <= ratio < 2.0**5:
            raise CompileError(
                "a step of the values of an attention must be in [1/16, 32) steps of its result",
                got=f"{ratio:g} steps",
            )
        fraction, exponent = math.frexp(ratio)
        multiplier = min(round(fraction * 2**31), INT32_MAX)
        index = Rescaling.of_one(step / STEP)
        return cls(table, *index, 16 - bits, multiplier, bits - 1 - exponent, step)

    @property
    def constants(self) -> tuple[int, int, int, int, int]:
        """The numbers in the order in which the operator takes them."""
        index = self.index_multiplier, self.index_shift
        return (*index, self.total_shift, self.multiplier, self.shift)


def attention_int8(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    table: Tensor,
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
) -> Tensor:
    """Attention of int8 [..., rows, features], int8: the formula is in docs/quantization.md."""
    centered = query.double() - query_zero_point
    scores = (centered @ (key.double() - key_zero_point).transpose(-1, -2)).long()
    if bias is not None:
        scores = scores + bias.long()
    if causal:
        rows, keys = scores.shape[-2:]
        seen = torch.ones(rows, keys, dtype=torch.bool, device=scores.device).tril()
        scores = torch.where(seen, scores, MASKED)
    distance = scores.amax(-1, keepdim=True) - scores
    index = multiply_high(shifted(distance, index_shift), index_multiplier)
    powers = table.long()[index.clamp(max=ENTRIES - 1)]
    total = powers.sum(-1, keepdim=True) << total_shift
    excess = torch.zeros_like(total)
    for bit in range(SUM_BITS, 31):
        excess = excess + (total >= 1 << bit).long()
    factor = (INT32_MAX // (total >> excess) * multiplier) >> 16
    sums = (powers.double() @ (value.double() - value_zero_point)).long()
    down = excess + shift
    result = (multiply_high(sums, factor) + (torch.ones_like(down) << down - 1)) >> down
    return (result.clamp(low - zero_point, high - zero_point) + zero_point).to(torch.int8)
