"""Scales of layers as one multiplication that keeps the upper 32 bits of 64: SMMLAR, VRMULH.

docs/quantization.md defines q = clamp(z + mulh(sum 2^shift, m)), mulh(a, m) = (a m + 2^30) >> 31.
Cores with the DSP extension have (a M + 2^31) >> 32 in one instruction. Both are the same where
2^a M = 2^(shift + 1) m for sums that are 2^a times as large: weights and biases are, in advance.
"""

from dataclasses import dataclass

import numpy as np

from .layer import Array

_LARGEST = 2**31 - 1
_MOST_INPUT = 128  # magnitude of an int8


@dataclass(frozen=True)
class HighProducts:
    """Constants of a layer whose results are clamp(z + ((sum M + 2^31) >> 32)).

    Attributes:
        weight: int32 [O, ...], 2^a times the layer's, a for each output channel.
        bias: int32 [O], likewise.
        multiplier: M, int32 [O].
    """

    weight: Array
    bias: Array
    multiplier: Array

    @classmethod
    def of(
        cls,
        weight: Array,
        bias: Array,
        multiplier: Array,
        shift: int,
        *,
        most_weight: int,
        most_input: int = _MOST_INPUT,
    ) -> "HighProducts | None":
        """The constants, or None where there are none of the same bytes.

        Args:
            weight: [O, ...] of int8.
            bias: int32 [O].
            multiplier: m, int32 [O].
            shift: Of the sums, for all channels.
            most_weight: The largest magnitude that a weight may get.
            most_input: The largest magnitude of what weights are multiplied by.
        """
        if shift < 0:  # the sums are rounded down first
            return None
        wide = weight.astype(np.int64).reshape(len(weight), -1)
        bound = np.abs(wide).sum(1) * most_input + np.abs(bias.astype(np.int64))
        larger = np.array([_doublings(int(m), shift) for m in multiplier])
        factor = 1 << np.minimum(larger, 40)
        largest = np.abs(wide).max(axis=1, initial=0)
        if (larger > shift + 1).any() or (largest * factor > most_weight).any():
            return None
        # what `shift` moves to the left must not saturate either
        if (bound * np.maximum(factor, 1 << shift) > _LARGEST).any():
            return None
        scaled = wide * factor[:, None]
        left = multiplier.astype(np.int64) << np.maximum(shift + 1 - larger, 0)
        return cls(
            scaled.reshape(weight.shape).astype(np.int32),
            (bias * factor).astype(np.int32),
            left.astype(np.int32),
        )


def _doublings(multiplier: int, shift: int) -> int:
    """The least a with |m| 2^(shift + 1 - a) < 2^31."""
    return max(0, (abs(multiplier) << shift + 1).bit_length() - 31)
