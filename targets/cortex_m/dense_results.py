"""Instructions that make int8 results of sums; r12 holds what rounds pairs, lr the zero point."""

from collections.abc import Sequence


def results(
    sums: Sequence[str], scales: Sequence[str], shared: bool, limits: tuple[int, int], left: int
) -> list[str]:
    """Sums become results in the same registers.

    Args:
        sums: Registers of one pixel's channels.
        scales: Registers of their multipliers.
        shared: Whether the first sum is one of a pair that shares words: 256 times as large.
        limits: The least and the greatest result.
        left: Bits by which other sums are moved first.
    """
    lines = []
    for channel, (register, scale) in enumerate(zip(sums, scales, strict=True)):
        if shared and channel == 0:
            # 7 bits behind the point are left, less what the layer shifts by
            right = 7 - max(left - 1, 0)
            lines += [
                f"smmla {register}, {register}, {scale}, r12",
                *clamp(register, limits, right),
            ]
            continue
        lines += [f"lsl {register}, {register}, #{left}"] * (left > 0)
        lines += [f"smmlar {register}, {register}, {scale}, lr", *clamp(register, limits, 0)]
    return lines


def clamp(register: str, limits: tuple[int, int], right: int) -> list[str]:
    """A register, moved to the right and kept within limits."""
    moved = f", asr #{right}" if right else ""
    if limits == (0, 127):
        return [f"usat {register}, #7, {register}{moved}"]
    lines = [f"ssat {register}, #8, {register}{moved}"]
    for limit, default, condition in zip(limits, (-128, 127), ("lt", "gt"), strict=True):
        if limit != default:
            lines += [f"cmp {register}, #{limit}", f"it {condition}"]
            lines.append(f"mov{condition} {register}, #{limit}")
    return lines
