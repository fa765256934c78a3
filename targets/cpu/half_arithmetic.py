"""Arithmetic on float16 itself, for cores that have it: products of twice as many elements at once.

Armv8.2-A with FEAT_FP16 multiplies and adds eight float16 in one FMLA (Arm ARM DDI 0487, C7.2).
"""

from dataclasses import replace

from ..target import Target


def for_sums(target: Target, dtype: str) -> Target:
    """The core as a template of float32 products should see it if it sums in `dtype`.

    With float16 its vectors have room for twice as many elements; their number is the same.
    """
    return replace(target, simd_bits=2 * target.simd_bits) if dtype == "float16" else target
