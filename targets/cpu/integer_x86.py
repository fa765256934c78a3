"""Words of small integers on x86: VPDPBUSD or PMADDWD; PMULDQ for products of 32 bits."""

from functools import partial
from typing import Any

from tvm import tirx

from ..target import Target
from .integer_vectors import (
    dot_by_bytes,
    filled,
    in_halves,
    lanes_of,
    narrow_by_clamp,
    part_of,
    typed,
    wide_multiply_high,
)

_PACKS = {128: "sse2.packss{}.128", 256: "avx2.packss{}", 512: "avx512.packss{}.512"}

_PAIR_PRODUCTS = {128: "sse2.pmadd.wd", 256: "avx2.pmadd.wd", 512: "avx512.pmaddw.d.512"}
_ROUNDED_PRODUCTS = {  # (a * b + 2^14) >> 15 of int16
    128: "ssse3.pmul.hr.sw.128",
    256: "avx2.pmul.hr.sw",
    512: "avx512.pmul.hr.sw.512",
}


def is_x86(target: Target) -> bool:
    """Whether this file is about the target."""
    return target.triple.startswith("x86_64")


def takes_halves(target: Target) -> bool:
    """Whether a word is two int16: as PMADDWD multiplies them, which never overflows."""
    return is_x86(target) and not takes_unsigned(target)


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


def dot_of_pairs(weights: Any, inputs: Any) -> Any:
    """The products of two int8 weights, given as one int16, and of two int16 inputs, summed."""
    stored = weights.value if isinstance(weights, tirx.Cast) else weights  # a template widens it
    lanes = lanes_of(stored)
    wide = tirx.reinterpret(f"int8x{2 * lanes}", stored).astype(f"int16x{2 * lanes}")
    return dot_halves(tirx.reinterpret(typed("int32", lanes), wide), inputs)


def dot_halves(a: Any, b: Any) -> Any:
    """The products of two int16 in a word and two in another, summed."""
    lanes = lanes_of(a)
    if 32 * lanes in _PAIR_PRODUCTS:
        operands = (tirx.reinterpret(f"int16x{2 * lanes}", value) for value in (a, b))
        name = f"llvm.x86.{_PAIR_PRODUCTS[32 * lanes]}"
        return tirx.call_llvm_pure_intrin(typed("int32", lanes), name, *operands)
    half = filled(16, lanes)
    low = ((a << half) >> half) * ((b << half) >> half)
    return low + (a >> half) * (b >> half)


def accumulate_halves(target: Target, total: Any, a: Any, b: Any) -> Any:
    """total + dot_halves(a, b)."""
    lanes = lanes_of(total)
    if not takes_unsigned(target) or lanes not in (4, 8, 16):
        return total + dot_halves(a, b)
    name = f"llvm.x86.avx512.vpdpwssd.{32 * lanes}"
    operands = [tirx.reinterpret(f"int16x{2 * lanes}", value) for value in (a, b)]
    return tirx.call_llvm_pure_intrin(f"int32x{lanes}", name, total, *operands)


def multiply_high(target: Target, a: Any, b: Any) -> Any:
    """(a * b + 2^30) >> 31: products of the even lanes, then of the odd ones (VPMULDQ)."""
    lanes = lanes_of(a)
    if lanes > target.lanes(32) and lanes % 2 == 0:
        return in_halves(partial(multiply_high, target), a, b)
    if lanes < 4 or lanes % 4:
        return wide_multiply_high(a, b)
    half = filled(1 << 30, lanes // 2, "int64")
    even, odd = (_unsigned(product + half) for product in _products(a, b))
    even, odd = even >> filled(31, lanes // 2, "uint64"), odd << filled(1, lanes // 2, "uint64")
    return _interleaved(even, odd, [0, 1])


def requantize(
    target: Target, value: Any, quadruple: Any, zero_point: int, low: int, high: int
) -> Any:
    """`requantize_by_halves`: the halves are rounded once they are packed to 16 bits."""
    lanes, native = lanes_of(value), target.lanes(32)
    if not packs(target, lanes):
        halves = _upper_half(target, value, quadruple)
        one = filled(1, lanes)
        # no sum overflows: a product of 2^31 and less than 2^31 has an upper half below 2^30
        return narrow_by_clamp((halves + one) >> one, 0, zero_point, low, high)
    pairs = (
        (part_of(each, at, native) for each in (value, quadruple)) for at in range(0, lanes, native)
    )
    parts = [_upper_half(target, *pair) for pair in pairs]
    half = filled(1 << 14, 2 * native, "int16")
    dtype, name = f"int16x{2 * native}", _ROUNDED_PRODUCTS[32 * native]
    words = [
        tirx.call_llvm_pure_intrin(dtype, f"llvm.x86.{name}", _packed(*pair, "int16"), half)
        for pair in zip(parts[::2], parts[1::2], strict=True)
    ]
    return _finished(words, lanes, zero_point, low, high)


def _upper_half(target: Target, a: Any, b: Any) -> Any:
    """(a * b) >> 32."""
    lanes = lanes_of(a)
    if lanes > target.lanes(32) and lanes % 2 == 0:
        return in_halves(partial(_upper_half, target), a, b)
    if lanes < 4 or lanes % 4:
        wide = typed("int64", lanes)
        product = a.astype(wide) * b.astype(wide) >> filled(32, lanes, "int64")
        return product.astype(typed("int32", lanes))
    return _interleaved(*_products(a, b), [1, 1])


def _products(a: Any, b: Any) -> tuple[Any, Any]:
    """The products of the even and of the odd lanes of vectors of int32, in 64 bits."""
    lanes = lanes_of(a) // 2
    pairs = [tirx.reinterpret(f"int64x{lanes}", value) for value in (a, b)]
    bits = filled(32, lanes, "int64")
    even = [(pair << bits) >> bits for pair in pairs]
    odd = [pair >> bits for pair in pairs]
    return even[0] * even[1], odd[0] * odd[1]


def _unsigned(value: Any) -> Any:
    return tirx.reinterpret(f"uint64x{lanes_of(value)}", value)


def _interleaved(even: Any, odd: Any, places: list[int]) -> Any:
    """Halves of vectors of 64 bits by turns: of the first one the lower (0) or the upper (1)."""
    lanes = 2 * lanes_of(even)
    halves = [tirx.reinterpret(f"int32x{lanes}", value) for value in (even, odd)]
    first, second = places[0], lanes + places[1]
    order = [pair + place for pair in range(0, lanes, 2) for place in (first, second)]
    return tirx.Shuffle(halves, [tirx.const(index, "int32") for index in order])


def rounds_halves(target: Target) -> bool:
    """Whether results in halves of steps cost less than rounded ones: see `requantize`."""
    return is_x86(target)


def packs(target: Target, lanes: int) -> bool:
    """Whether `narrow` is for vectors of so many int32: two or four that fit a register."""
    return is_x86(target) and lanes in (
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
    return _finished(words, lanes, zero_point, low, high)


def weigh(
    target: Target, values: Any, a: int, b: int, offset: int, shift: int, low: int, high: int
) -> Any:
    """clamp((a * x + b * y + offset) >> shift, low, high) as int8: PMADDWD of pairs (x, y)."""
    lanes, native = lanes_of(values[0]), target.lanes(32)
    if not packs(target, lanes):
        wide = [value.astype(typed("int32", lanes)) for value in values]
        total = wide[0] * filled(a, lanes) + wide[1] * filled(b, lanes) + filled(offset, lanes)
        return narrow_by_clamp(total, shift, 0, low, high)
    factors = filled((b << 16) + (a & 0xFFFF), native)
    words = []
    for first in range(0, lanes, 2 * native):
        parts = [part_of(value, first, 2 * native) for value in values]
        x, y = (part.astype(f"int16x{2 * native}") for part in parts)
        sums = [
            (dot_halves(pairs, factors) + filled(offset, native)) >> filled(shift, native)
            for pairs in _unpacked(x, y)
        ]
        words.append(_packed(sums[0], sums[1], "int16"))  # undoes the order that unpacking made
    return _in_order(_clamped(_packed(words[0], words[-1], "int8"), low, high), lanes, 8)


def _unpacked(x: Any, y: Any) -> list[Any]:
    """Pairs of int16 as words: of the first halves of all 128 bits, and of the second ones."""
    lanes = lanes_of(x)

    def half(first: int) -> Any:
        pairs = (
            (at, lanes + at) for part in range(first, lanes, 8) for at in range(part, part + 4)
        )
        order = [tirx.const(index, "int32") for pair in pairs for index in pair]
        return tirx.reinterpret(typed("int32", lanes // 2), tirx.Shuffle([x, y], order))

    return [half(0), half(4)]


def _finished(words: list[Any], lanes: int, zero_point: int, low: int, high: int) -> Any:
    """clamp(value + zero_point, low, high) as int8 of int16 that were packed."""
    if zero_point:
        count = lanes_of(words[0])
        offset = filled(zero_point, count, "int16")
        words = [
            tirx.call_llvm_pure_intrin(f"int16x{count}", "llvm.sadd.sat", word, offset)
            for word in words
        ]
    return _in_order(_clamped(_packed(words[0], words[-1], "int8"), low, high), lanes)


def _clamped(packed: Any, low: int, high: int) -> Any:
    """clamp(packed, low, high) of int8."""
    if high < 127:
        packed = tirx.min(packed, filled(high, lanes_of(packed), "int8"))
    return tirx.max(packed, filled(low, lanes_of(packed), "int8")) if low > -128 else packed


def _packed(a: Any, b: Any, dtype: str) -> Any:
    """Two vectors in half the bits, saturated: the first 128 bits of a, of b, the next of a, ..."""
    bits, lanes = (64 if dtype == "int16" else 32) // 2 * lanes_of(a), 2 * lanes_of(a)
    name = _PACKS[bits].format("dw" if dtype == "int16" else "wb")
    return tirx.call_llvm_pure_intrin(f"{dtype}x{lanes}", f"llvm.x86.{name}", a, b)


def _in_order(packed: Any, lanes: int, size: int = 4) -> Any:
    """The first `lanes` int8 of vectors that were packed, as they were.

    `size` of them stayed together: of each vector, one such group is in every 128 bits.
    """
    quarters, groups = lanes_of(packed) // 16, 16 // size
    count = lanes // (size * quarters)
    order = [groups * place + part for part in range(count) for place in range(quarters)]
    whole = tirx.reinterpret(f"int{8 * size}x{groups * quarters}", packed)
    moved = tirx.Shuffle([whole], [tirx.const(index, "int32") for index in order])
    return tirx.reinterpret(f"int8x{lanes}", moved)
