"""Words of small integers on x86: VPDPBUSD; VPMULDQ for products of 32 bits."""

from functools import partial
from typing import Any

from tvm import tirx

from ..target import Target
from .integer_vectors import (
    dot_by_bytes,
    filled,
    in_halves,
    lanes_of,
    part_of,
    wide_multiply_high,
)

_PACKS = {128: "sse2.packss{}.128", 256: "avx2.packss{}", 512: "avx512.packss{}.512"}


def takes_unsigned(target: Target) -> bool:
    """Whether dots multiply uint8 inputs by int8 weights: as VPDPBUSD does."""
    return not {"+avx512vnni", "+avxvnni"}.isdisjoint(target.features)


def accumulate(total: Any, weights: Any, inputs: Any) -> Any:
    """total + dot(weights, inputs), the inputs uint8."""
    lanes = lanes_of(total)
    if lanes not in (4, 8, 16):
        return total + dot_by_bytes(weights, inputs, unsigned=True)
    name = f"llvm.x86.avx512.vpdpbusd.{32 * lanes}"
    operands = [tirx.reinterpret(f"int8x{4 * lanes}", value) for value in (inputs, weights)]
    return tirx.call_llvm_pure_intrin(f"int32x{lanes}", name, total, *operands)


def multiply_high(target: Target, a: Any, b: Any) -> Any:
    """(a * b + 2^30) >> 31: products of the even lanes, then of the odd ones (VPMULDQ)."""
    lanes = lanes_of(a)
    if lanes > target.lanes(32) and lanes % 2 == 0:
        return in_halves(partial(multiply_high, target), a, b)
    if lanes < 4 or lanes % 4:
        return wide_multiply_high(a, b)
    wide = f"int64x{lanes // 2}"

    def product(*factors: Any) -> Any:
        rounded = factors[0] * factors[1] + filled(1 << 30, lanes // 2, "int64")
        return tirx.reinterpret(wide.replace("int", "uint"), rounded)

    def shifted(value: Any, bits: int) -> Any:
        return value >> filled(bits, lanes // 2, str(value.ty.dtype).partition("x")[0])

    pairs = [tirx.reinterpret(wide, value) for value in (a, b)]
    up = filled(32, lanes // 2, "int64")
    even = shifted(product(*(shifted(pair << up, 32) for pair in pairs)), 31)
    odd = product(*(shifted(pair, 32) for pair in pairs)) << filled(1, lanes // 2, "uint64")
    halves = [tirx.reinterpret(f"int32x{lanes}", value) for value in (even, odd)]
    order = [index + lanes * (index % 2) for index in range(lanes)]
    return tirx.Shuffle(halves, [tirx.const(index, "int32") for index in order])


def packs(target: Target, lanes: int) -> bool:
    """Whether `narrow` is for vectors of so many int32: two or four that fit a register."""
    return target.triple.startswith("x86_64") and lanes in (
        2 * target.lanes(32),
        4 * target.lanes(32),
    )


def narrow(target: Target, value: Any, shift: int, zero_point: int, low: int, high: int) -> Any:
    """clamp((value >> shift) + zero_point, low, high) as int8, by VPACKSSDW and VPACKSSWB.

    Saturated to 16 bits and moved by at most 128, what was out of range is still out of it.
    """
    lanes, native = lanes_of(value), target.lanes(32)
    parts = [part_of(value, first, native) for first in range(0, lanes, native)]
    if shift:
        parts = [part >> filled(shift, native) for part in parts]
    words = [_packed(*pair, "int16") for pair in zip(parts[::2], parts[1::2], strict=True)]
    if zero_point:
        offset = filled(zero_point, 2 * native, "int16")
        dtype = f"int16x{2 * native}"
        words = [tirx.call_llvm_pure_intrin(dtype, "llvm.sadd.sat", w, offset) for w in words]
    packed = _packed(words[0], words[-1], "int8")
    if high < 127:
        packed = tirx.min(packed, filled(high, 4 * native, "int8"))
    if low > -128:
        packed = tirx.max(packed, filled(low, 4 * native, "int8"))
    return _in_order(packed, lanes)


def _packed(a: Any, b: Any, dtype: str) -> Any:
    """Two vectors in half the bits, saturated: the first 128 bits of a, of b, the next of a, ..."""
    bits, lanes = (64 if dtype == "int16" else 32) // 2 * lanes_of(a), 2 * lanes_of(a)
    name = _PACKS[bits].format("dw" if dtype == "int16" else "wb")
    return tirx.call_llvm_pure_intrin(f"{dtype}x{lanes}", f"llvm.x86.{name}", a, b)


def _in_order(packed: Any, lanes: int) -> Any:
    """The int8 of two or four vectors that were packed twice, as they were."""
    quarters = lanes_of(packed) // 16  # of a vector; each gave 4 neighbors of one of the 16 groups
    count = lanes // (4 * quarters)
    order = [4 * group + part for part in range(count) for group in range(quarters)]
    groups = tirx.reinterpret(f"int32x{4 * quarters}", packed)
    moved = tirx.Shuffle([groups], [tirx.const(index, "int32") for index in order])
    return tirx.reinterpret(f"int8x{lanes}", moved)
