"""Words of small integers on ARM: SDOT, or SMULL, SMLAL2 and SADALP; SQRDMULH."""

from functools import partial
from typing import Any

from tvm import ir, tirx

from ..target import Target
from .integer_vectors import (
    BYTES,
    call_typed,
    dot_by_bytes,
    filled,
    in_halves,
    joined,
    lanes_of,
    part_of,
    typed,
    wide_multiply_high,
)

_SQRDMULH = {"aarch64": "llvm.aarch64.neon.sqrdmulh", "arm": "llvm.arm.neon.vqrdmulh"}
_SQXTN = {"aarch64": "llvm.aarch64.neon.sqxtn", "arm": "llvm.arm.neon.vqmovns"}


def is_arm(target: Target) -> bool:
    """Whether this file is about the target."""
    return target.triple.startswith(tuple(_SQRDMULH))


def sums_pairs(target: Target) -> bool:
    """Whether dots are made of sums of two products: weights are then stored by `in_pairs`."""
    return target.triple.startswith("aarch64") and "+dotprod" not in target.features


def accumulate(target: Target, total: Any, weights: Any, inputs: Any) -> Any:
    """total + dot(weights, inputs)."""
    if lanes_of(total) > 4:
        return in_halves(partial(accumulate, target), total, weights, inputs)
    if lanes_of(total) < 4:
        return total + dot_by_bytes(weights, inputs)
    if sums_pairs(target):
        return total + _pairwise(weights, inputs)
    operands = [tirx.reinterpret("int8x16", value) for value in (weights, inputs)]
    # The operand that is spread over a vector comes last: LLVM then multiplies by lane.
    return tirx.call_llvm_pure_intrin("int32x4", "llvm.aarch64.neon.sdot", total, *operands)


def multiply_high(target: Target, a: Any, b: Any) -> Any:
    """(a * b + 2^30) >> 31."""
    lanes = lanes_of(a)
    if lanes > 4 and lanes % 8 == 0:
        return in_halves(partial(multiply_high, target), a, b)
    if lanes in (2, 4):
        return tirx.call_llvm_pure_intrin(typed("int32", lanes), _named(_SQRDMULH, target), a, b)
    return wide_multiply_high(a, b)


def narrow(target: Target, value: Any, shift: int, zero_point: int, low: int, high: int) -> Any:
    """clamp((value >> shift) + zero_point, low, high) as int8; lanes are 4, 8 or 16.

    In 16 bits, which saturate as int8 does later: SQSHRN or SQXTN, SQADD, SQXTN.
    """
    lanes = lanes_of(value)
    halves = [_half(target, part_of(value, at, 4), shift) for at in range(0, lanes, 4)]
    pairs = zip(halves[::2], halves[1::2], strict=True) if lanes > 4 else [(halves[0], halves[0])]
    eights = [_bytes(target, joined(*pair), zero_point) for pair in pairs]
    found = joined(*eights) if lanes == 16 else part_of(eights[0], 0, lanes)
    if low > -128:
        found = tirx.max(found, filled(low, lanes, "int8"))
    return tirx.min(found, filled(high, lanes, "int8")) if high < 127 else found


def _half(target: Target, value: Any, shift: int) -> Any:
    """Four int32 >> shift, saturated to int16."""
    if 1 <= shift <= 16 and target.triple.startswith("aarch64"):
        amount = tirx.const(shift, "int32")
        return tirx.call_llvm_pure_intrin("int16x4", "llvm.aarch64.neon.sqshrn", value, amount)
    moved = value >> filled(shift, 4) if shift else value
    return tirx.call_llvm_pure_intrin("int16x4", _named(_SQXTN, target), moved)


def _bytes(target: Target, value: Any, zero_point: int) -> Any:
    """Eight int16 + zero_point, saturated to int8."""
    if zero_point:
        point = filled(zero_point, 8, "int16")
        value = tirx.call_llvm_pure_intrin("int16x8", "llvm.sadd.sat", value, point)
    return tirx.call_llvm_pure_intrin("int8x8", _named(_SQXTN, target), value)


def _named(names: dict[str, str], target: Target) -> str:
    return next(name for arch, name in names.items() if target.triple.startswith(arch))


def _pairwise(weights: Any, inputs: Any) -> Any:
    """Sums of four products by SMULL, SMLAL2 and SADALP; the inputs are the same word four times.

    Two products fit 16 bits unless both weights and inputs are -128: no weight may be.
    """
    vector, lane = _vector_with(inputs)
    pairs = [BYTES * lane + i for i in [0, 1] * 4 + [2, 3] * 4]
    elements = [tirx.reinterpret("int8x16", value) for value in (weights, vector)]
    spread = tirx.Shuffle([elements[1]], [tirx.const(i, "int32") for i in pairs])

    def half(side: str) -> Any:
        operands = elements[0], spread
        parts = [call_typed("int8x8", f"tirx.vector{side}", value) for value in operands]
        return parts[0].astype("int16x8") * parts[1].astype("int16x8")

    return tirx.call_llvm_pure_intrin(
        "int32x4", "llvm.aarch64.neon.saddlp", half("low") + half("high")
    )


def _vector_with(spread: Any) -> tuple[Any, int]:
    """A vector of words and the lane in it that `spread` repeats: then one shuffle does both."""
    load = spread.value if isinstance(spread, tirx.Broadcast) else None
    if isinstance(load, ir.TensorLoad) and load.source.scope() == "local":
        place = load.indices[0]
        if isinstance(place, tirx.IntImm) and int(load.source.ty.shape[0]) % 4 == 0:
            first, lane = int(place) // 4 * 4, int(place) % 4
            return tirx.BufferLoad(load.source, [tirx.Ramp(first, 1, 4)]), lane
    return spread, 0
