"""Sums over a group of products of 4-bit and 8-bit integers, in the instructions of a core.

A packed word holds two words of four weights, each 8 more than what it stands for: the first in
the low bits of its bytes, the second in the high bits. They are unpacked in registers.
"""

from collections.abc import Sequence
from typing import Any

from tvm import ir, tirx

from ..target import Target
from . import integer_arm, integer_x86
from .integer_vectors import BYTES, call_typed, dot_by_bytes, filled, lanes_of

_LOW = 0x0F0F0F0F  # the low bits of four bytes
_SHORT_SUMS = 8  # words: two products of at most 15 * 128 each, for every 16 bits of a sum
_SADDLP = {"aarch64": "llvm.aarch64.neon.saddlp", "arm": "llvm.arm.neon.vpaddls"}
_BYTE_PRODUCTS = {  # of pairs of uint8 and int8, summed in int16
    128: "ssse3.pmadd.ub.sw.128",
    256: "avx2.pmadd.ub.sw",
    512: "avx512.pmaddubs.w.512",
}


def has_groups(target: Target) -> bool:
    """Whether a few instructions unpack, multiply and add words of 4-bit weights."""
    return integer_arm.is_arm(target) or integer_x86.is_x86(target)


def sums_pairs(target: Target) -> bool:
    """Whether sums are of two products first.

    Packed words are then stored by `in_pairs`, and each word of inputs as a vector of four: the
    first two elements four times, then the last two.
    """
    return integer_arm.is_arm(target) and "+dotprod" not in target.features


def dot_groups(target: Target, start: Any, packed: Sequence[Any], inputs: Sequence[Any]) -> Any:
    """start + the sum of the products of all weights, as they are stored, and inputs.

    Args:
        target: The core.
        start: int32.
        packed: Packed words.
        inputs: Twice as many words of int8.
    """
    lanes = lanes_of(start)
    if integer_arm.is_arm(target):
        assert lanes == 4, start  # panels are of whole vectors
        if sums_pairs(target):
            return _by_pairs(target, start, list(zip(_byte_halves(packed), inputs, strict=True)))
        spread = _spread_words(inputs)
        return _by_words(start, list(zip(_byte_halves(packed), spread, strict=True)))
    words = list(zip(_word_halves(packed), inputs, strict=True))
    if integer_x86.takes_unsigned(target) and lanes in (4, 8, 16):
        for weights, word in words:
            start = integer_x86.accumulate(start, word, weights)
        return start
    if integer_x86.is_x86(target) and 32 * lanes in _BYTE_PRODUCTS:
        return _by_bytes(start, words)
    for weights, word in words:  # the weights are not negative: they may be unsigned
        start = start + dot_by_bytes(word, weights, unsigned=True)
    return start


def _word_halves(packed: Sequence[Any]) -> list[Any]:
    """The words in packed words, as int32."""
    lanes = lanes_of(packed[0])
    mask, four = filled(_LOW, lanes), filled(4, lanes)
    return [part for word in packed for part in (word & mask, (word >> four) & mask)]


def _byte_halves(packed: Sequence[Any]) -> list[Any]:
    """The words in packed words, as vectors of bytes: one shift gives the second."""
    found = []
    for word in packed:
        bytes_ = tirx.reinterpret("uint8x16", word)
        for part in (bytes_ & filled(15, 16, "uint8"), bytes_ >> filled(4, 16, "uint8")):
            found.append(tirx.reinterpret("int8x16", part))
    return found


def _by_words(total: Any, words: Sequence[tuple[Any, tuple[Any, int]]]) -> Any:
    """SDOT by lane."""
    for weights, (vector, lane) in words:
        index = [tirx.const(lane, "int32")] * 4
        sources = [vector] * (4 // lanes_of(vector))  # as many lanes as are asked for
        spread = tirx.reinterpret("int8x16", tirx.Shuffle(sources, index))
        total = tirx.call_llvm_pure_intrin(
            "int32x4", "llvm.aarch64.neon.sdot", total, weights, spread
        )
    return total


def _by_pairs(target: Target, total: Any, words: Sequence[tuple[Any, Any]]) -> Any:
    """SMULL, SMLAL and SMLAL2 in 16 bits, then SADALP."""
    name = next(name for arch, name in _SADDLP.items() if target.triple.startswith(arch))
    for first in range(0, len(words), _SHORT_SUMS):
        short = None
        for weights, spread in words[first : first + _SHORT_SUMS]:
            inputs = tirx.reinterpret("int8x16", spread)
            for side in ("low", "high"):
                product = _half(weights, side) * _half(inputs, side)
                short = product if short is None else short + product
        total = total + tirx.call_llvm_pure_intrin("int32x4", name, short)
    return total


def _half(vector: Any, side: str) -> Any:
    """Half of sixteen int8 as int16."""
    return call_typed("int8x8", f"tirx.vector{side}", vector).astype("int16x8")


def _by_bytes(total: Any, words: Sequence[tuple[Any, Any]]) -> Any:
    """PMADDUBSW, sums in 16 bits, then PMADDWD by ones."""
    lanes = lanes_of(total)
    name = f"llvm.x86.{_BYTE_PRODUCTS[32 * lanes]}"
    for first in range(0, len(words), _SHORT_SUMS):
        short = None
        for pair in words[first : first + _SHORT_SUMS]:
            operands = (tirx.reinterpret(f"int8x{BYTES * lanes}", value) for value in pair)
            product = tirx.call_llvm_pure_intrin(f"int16x{2 * lanes}", name, *operands)
            short = product if short is None else short + product
        total = total + integer_x86.dot_halves(
            tirx.reinterpret(f"int32x{lanes}", short), filled(0x00010001, lanes)
        )
    return total


def _spread_words(inputs: Sequence[Any]) -> list[tuple[Any, int]]:
    """For words that fill a vector each: a vector that holds the word, and the lane in it."""
    found: list[tuple[Any, int]] = []
    for first in range(0, len(inputs), 4):
        found += _vector_of(inputs[first : first + 4])
    return found


def _vector_of(inputs: Sequence[Any]) -> list[tuple[Any, int]]:
    """As `_spread_words`, of two or four words: one load where they follow each other."""
    loads = [word.value for word in inputs if isinstance(word, tirx.Broadcast)]
    if len(loads) < len(inputs) or not all(isinstance(load, ir.TensorLoad) for load in loads):
        return [(word, 0) for word in inputs]
    place = tirx.Ramp(loads[0].indices[0], 1, len(loads))
    vector = tirx.BufferLoad(loads[0].source, [place])
    return [(vector, lane) for lane in range(len(loads))]
