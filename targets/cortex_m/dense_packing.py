"""Constants of dense layers as their micro-kernels read them: one stream of int16, start to end.

A channel's sum is sum x w + bias. Output channels a, b make a pair whose weights share words:

    start     256 bias_a + bias_b, bias_b             int32 each, modulo 2^32
    factors   256 w_a + w_b                           an int16 for each of the window's factors
    scales    M_a, M_b                                int32 each

SMLAD with the words gives 256 A + B; with their low bytes, which one SXTB16 spreads for two
factors, it gives B. A pair takes as many bytes as its int8 weights, and three instructions for four
products where separate weights take four. It needs |A| < 2^23, and 256 w_a + w_b in int16, which
only w_a = -128 can break; the compiler checks that, channel by channel. Where it does not hold, and
for a last channel without a partner, weights are bytes:

    start     bias of each channel
    factors   for four factors f0 f1 f2 f3 the bytes f0 f2 f1 f3 of one channel, then of the next
    scales    M of each channel

Results are clamp(z + mulh(sum 2^shift, m)) (docs/quantization.md), and mulh(a, m) is what SMMLAR
gives for a and 2 m, or for 2 a and m.
"""

from dataclasses import dataclass

import numpy as np

from .layer import Array

_MOST = 2**31
_MOST_SHIFT = 6  # of pairs: SMMLA leaves 7 bits behind the point


@dataclass(frozen=True)
class Run:
    """Neighboring channels of a group that one call of a micro-kernel computes.

    Attributes:
        first: Its first channel.
        channels: An even number, or 1.
        start: Of its constants in the group's part of the stream.
        shared: Whether pairs of channels share words.
    """

    first: int
    channels: int
    start: int
    shared: bool


@dataclass(frozen=True, eq=False)
class Packed:
    """The constants of a layer.

    Attributes:
        stream: int16, one group of the convolution after the other.
        runs: The channels of each group.
        left: Bits by which sums are moved before they are scaled.
    """

    stream: Array
    runs: tuple[Run, ...]
    left: int


@dataclass(frozen=True)
class Scales:
    """How sums become results: q = clamp(z + ((sum 2^left M + 2^31) >> 32)).

    Attributes:
        multipliers: M of each channel.
        left: Bits by which sums are moved before; 0 where 2 m fits M.
    """

    multipliers: Array
    left: int

    def of(self, channels: slice) -> "Scales":
        """Those of some channels."""
        return Scales(self.multipliers[channels], self.left)


def pack(
    weight: Array, bias: Array, multiplier: Array, shift: int, groups: int = 1
) -> Packed | None:
    """The stream of a layer, or None where sums must be shifted to the right first, or saturate.

    Args:
        weight: int8 [O, K] in the order of the window, K a multiple of 4.
        bias: int32 [O].
        multiplier: int32 [O].
        shift: Of the sums.
        groups: Of the convolution; they divide O.
    """
    bounds = sum_bounds(weight, bias)
    scales = scales_of(multiplier, shift, bounds)
    if scales is None:
        return None
    own = len(weight) // groups
    parts = [slice(first, first + own) for first in range(0, len(weight), own)]
    shared = all(share_words(weight[part], bounds[part], shift) for part in parts)
    even, factors = own // 2 * 2, weight.shape[1]
    pairs = even // 2 * (factors + 8)
    runs = [Run(0, even, 0, shared)] * (even > 0) + [Run(even, 1, pairs, False)] * (own % 2)
    arrays = []
    for part in parts:
        first, end = part.start, part.stop
        whole, last = slice(first, first + even), slice(first + even, end)
        if shared and even:
            arrays.append(paired(weight[whole], bias[whole], multiplier[whole], scales.of(whole)))
        elif even:
            arrays.append(separate(weight[whole], bias[whole], scales.of(whole), 2))
        if own % 2:
            arrays.append(separate(weight[last], bias[last], scales.of(last), 1))
    return Packed(np.concatenate(arrays), tuple(runs), scales.left)


def scales_of(multiplier: Array, shift: int, bounds: Array) -> Scales | None:
    """How sums of at most `bounds` are scaled, or None if 32 bits cannot hold them shifted."""
    wide = multiplier.astype(np.int64)
    if shift == 0 and (np.abs(wide) < 1 << 30).all():
        return Scales((2 * wide).astype(np.int32), 0)
    left = shift + 1
    if shift < 0 or (bounds.astype(object) * (1 << left) >= _MOST).any():
        return None
    return Scales(multiplier.astype(np.int32), left)


def sum_bounds(weight: Array, bias: Array) -> Array:
    """The largest magnitude of each channel's sum; weight [O, K] int8, bias [O] int32."""
    wide = weight.astype(np.int64)
    positive, negative = np.maximum(wide, 0).sum(1), np.minimum(wide, 0).sum(1)
    most = 127 * positive - 128 * negative + bias
    least = -128 * positive + 127 * negative + bias
    bounds: Array = np.maximum(np.abs(most), np.abs(least))
    return bounds


def share_words(weight: Array, bounds: Array, shift: int) -> bool:
    """Whether all pairs of channels, 0 and 1, 2 and 3, ..., can have their weights in words."""
    count = len(weight) // 2 * 2
    first, second = weight[0:count:2].astype(np.int32), weight[1:count:2].astype(np.int32)
    fits = (256 * first + second >= -(2**15)).all()
    return bool(fits and (bounds[0:count:2] < 1 << 23).all() and shift <= _MOST_SHIFT)


def paired(weight: Array, bias: Array, multiplier: Array, scales: Scales) -> Array:
    """The stream of pairs that share words; weight [O, K], O even.

    A's multiplier is m itself: 256 A m >> 32 has the 7 bits that are rounded last.
    """
    halves = 256 * weight[0::2].astype(np.int32) + weight[1::2]
    first, second = bias[0::2].astype(np.int64), bias[1::2].astype(np.int64)
    parts = [
        _halves(256 * first + second, second),
        halves.astype(np.int16),
        _halves(multiplier[0::2], scales.multipliers[1::2]),
    ]
    return np.concatenate(parts, axis=1).reshape(-1)


def separate(weight: Array, bias: Array, scales: Scales, group: int) -> Array:
    """The stream of groups of channels with weights of their own; weight [O, K], O and K whole."""
    fours = weight.reshape(len(weight), -1, 4)[:, :, [0, 2, 1, 3]]
    words = np.ascontiguousarray(fours).view("<i2").reshape(-1, group, fours.shape[1], 2)
    parts = [
        _halves(*(bias[i::group] for i in range(group))),
        np.ascontiguousarray(words.transpose(0, 2, 1, 3)).reshape(len(words), -1),
        _halves(*(scales.multipliers[i::group] for i in range(group))),
    ]
    return np.concatenate(parts, axis=1).reshape(-1)


def _halves(*columns: Array) -> Array:
    """int32 columns (or what is equal modulo 2^32) side by side, low halves first."""
    table = np.stack([np.asarray(column, np.int64) & 0xFFFFFFFF for column in columns], axis=1)
    return np.ascontiguousarray(table.astype("<u4")).view("<i2").reshape(len(table), -1)
