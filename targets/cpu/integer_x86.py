"""Words of small integers on x86: VPDPBUSD."""

from typing import Any

from tvm import tirx

from ..target import Target
from .integer_vectors import dot_by_bytes, lanes_of


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
