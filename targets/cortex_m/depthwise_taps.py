"""Micro-kernels that sum windows of any size, up to four neighboring results of a channel at once.

The planes are those of depthwise_planes.py. Taps do not stay in registers: those of a row are
loaded (LDM), and serve all results. A word of the plane is multiplied by a pair of taps (SMLAD),
or half of it by the first or the last tap of a row (SMLATB, SMLABT).
"""

from dataclasses import dataclass

import numpy as np

from .assembly import assembly_kernel
from .instructions import Code, Repeat, add, executed
from .layer import Array, MicroKernel
from .multipliers import HighProducts

MOST_COLUMNS = 7  # of taps: six registers hold their pairs
_MOST_RESULTS = 4
_FAREST = 4095
_HEAD = 3  # words of a record before the taps: bias, multiplier, zero point of the result


@dataclass(frozen=True)
class TapsShape:
    """What a summing micro-kernel is made for.

    Args:
        kernel: Rows and columns of taps, at least two columns.
        columns: Results in a row.
        stride: 1 or 2, along both axes.
        row_bytes: From a row of the plane to the next.
        pixel_bytes: From a result to its right neighbor.
        low: The least result.
        high: The greatest one.
        shift: As in depthwise_sums.SumsShape.
    """

    kernel: tuple[int, int]
    columns: int
    stride: int
    row_bytes: int
    pixel_bytes: int
    low: int
    high: int
    shift: int | None = None

    @property
    def name(self) -> str:
        """Of the function in C."""
        sizes = [*self.kernel, self.stride, self.columns, self.row_bytes, self.pixel_bytes]
        sizes += [] if (self.low, self.high) == (-128, 127) else [self.low, self.high]
        moved = "" if self.shift is None else f"_shift_{self.shift}"
        return ("sum_taps_" + "_".join(map(str, sizes)) + moved).replace("-", "m")

    @property
    def pairs(self) -> list[int]:
        """The first taps of the pairs that are multiplied by words, and the last pair."""
        width = self.kernel[1]
        starts = {0, width - 2}
        for result in range(_MOST_RESULTS):
            starts |= {t for t in range(width - 1) if (t + result * self.stride) % 2 == 0}
        return sorted(starts)

    @property
    def record_words(self) -> int:
        """Of a channel."""
        return _HEAD + self.kernel[0] * len(self.pairs)

    @property
    def fits(self) -> bool:
        """Whether offsets fit their instructions."""
        far = self.kernel[0] * self.row_bytes + 2 * (self.kernel[1] + 8 * self.stride)
        return max(far, _MOST_RESULTS * self.pixel_bytes) <= _FAREST

    def instructions(self, rows: int) -> int:
        """That a call executes."""
        return executed(_BEFORE) + rows * executed(_row(self)) + 2


def taps_kernel(shape: TapsShape) -> MicroKernel:
    """rows of results of one channel: void name(plane, record, y, rows)."""
    parameters = ("const int16_t *plane", "const int32_t *record", "int8_t *y", "int32_t rows")
    down, right = shape.kernel
    comment = f"One channel of a depthwise {down}x{right} convolution."
    code = [*_BEFORE, "1:", *_row(shape), "add sp, sp, #8", "pop {r4-r11, lr}"]
    return assembly_kernel(shape.name, comment, parameters, code, _portable(shape))


def tap_records(shape: TapsShape, products: HighProducts, zero_point: int) -> Array:
    """For each result channel what follows the sum, and the pairs of taps of each row."""
    taps = products.weight.reshape(len(products.weight), shape.kernel[0], -1).astype(np.int64)
    missing = shape.kernel[1] - taps.shape[2]
    taps = np.pad(taps, ((0, 0), (0, 0), (0, missing)))
    words = [(taps[:, :, t] & 0xFFFF) | (taps[:, :, t + 1] << 16) for t in shape.pairs]
    pairs = np.stack(words, axis=2).reshape(len(taps), -1)
    points = np.full(len(taps), zero_point)
    head = np.stack([products.bias, products.multiplier, points], axis=1)
    records = np.concatenate([head, pairs], axis=1)
    return (records & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


def _portable(shape: TapsShape) -> str:
    count, row = len(shape.pairs), shape.row_bytes // 2
    lines = []
    for tap in range(shape.kernel[1]):
        if tap in shape.pairs:
            word = f"(int16_t)(pairs[{shape.pairs.index(tap)}] & 0xffff)"
        else:
            word = f"(pairs[{shape.pairs.index(tap - 1)}] >> 16)"
        lines.append(f"                sum += taken[{tap}] * {word};")
    products = "\n".join(lines)
    limits = f"record[2], {shape.low}, {shape.high})"
    which = "high(sum, record[1], " if shape.shift is None else "shifted(sum, record[1], "
    which += "" if shape.shift is None else f"{shape.shift}, "
    return f"""\
for (int32_t row = 0; row < rows; ++row) {{
    const int16_t *window = plane + row * {shape.stride * row};
    for (int32_t column = 0; column < {shape.columns}; ++column) {{
        int32_t sum = record[0];
        for (int32_t tap = 0; tap < {shape.kernel[0]}; ++tap) {{
            const int16_t *taken = window + tap * {row};
            const int32_t *pairs = record + {_HEAD} + tap * {count};
{products.replace("                ", "            ")}
        }}
        *y = requantize_{which}{limits};
        y += {shape.pixel_bytes};
        window += {shape.stride};
    }}
}}
"""


# r0 the window, r1 the record, r2 the results, r3 to r6 sums, r7 to r12 pairs of taps, lr a word of
# the plane; on the stack rows to go, and results to go
_BEFORE = ["push {r4-r11, lr}", "sub sp, sp, #8", "str r3, [sp]"]


def _row(shape: TapsShape) -> Code:
    blocks, rest = divmod(shape.columns, _MOST_RESULTS)
    lines: list[str | Repeat] = []
    block = tuple(_results(shape, _MOST_RESULTS))
    if blocks == 1:
        lines += block
    elif blocks:
        turn = ["ldr lr, [sp, #4]", "subs lr, #1", "str lr, [sp, #4]", "bne 2b"]
        lines += [f"movw lr, #{blocks}", "str lr, [sp, #4]"]
        lines.append(Repeat(2, blocks, (*block, *turn)))
    lines += _results(shape, rest) if rest else []
    done = 2 * shape.columns * shape.stride
    lines += _move("r0", shape.stride * shape.row_bytes - done)
    return [*lines, "ldr lr, [sp]", "subs lr, #1", "str lr, [sp]", "bne 1b"]


def _results(shape: TapsShape, count: int) -> list[str]:
    """Neighboring results: their sums, and what is stored."""
    sums = [f"r{3 + i}" for i in range(count)]
    taps = [f"r{7 + i}" for i in range(len(shape.pairs))]
    lines = ["ldr r3, [r1]", *(f"mov {name}, r3" for name in sums[1:]), f"add r1, #{4 * _HEAD}"]
    for row in range(shape.kernel[0]):
        lines.append(f"ldm r1!, {{{taps[0]}-{taps[-1]}}}" if len(taps) > 1 else "ldr r7, [r1], #4")
        words = ((count - 1) * shape.stride + shape.kernel[1] + 1) // 2
        for word in range(words):
            lines.append(f"ldr lr, [r0, #{row * shape.row_bytes + 4 * word}]")
            for result, name in enumerate(sums):
                lines += _product(shape, name, 2 * word - result * shape.stride, taps)
    lines += ["sub r1, #" + str(4 * shape.record_words), "ldrd r7, r8, [r1, #4]"]
    for i, name in enumerate(sums):
        lines += [*_requantized(shape, name), f"strb {name}, [r2, #{i * shape.pixel_bytes}]"]
    lines += _move("r2", count * shape.pixel_bytes)
    return [*lines, *_move("r0", 2 * count * shape.stride)]


def _product(shape: TapsShape, name: str, tap: int, taps: list[str]) -> list[str]:
    """A word, whose lower half meets a tap, times what it meets of them."""
    width = shape.kernel[1]
    if 0 <= tap < width - 1:
        return [f"smlad {name}, lr, {taps[shape.pairs.index(tap)]}, {name}"]
    if tap == -1:
        return [f"smlatb {name}, lr, {taps[0]}, {name}"]
    return [f"smlabt {name}, lr, {taps[-1]}, {name}"] if tap == width - 1 else []


def _requantized(shape: TapsShape, name: str) -> list[str]:
    """Multiplier in r7, zero point in r8; r9 is free."""
    if shape.shift is None:
        lines = [f"smmlar {name}, {name}, r7, r8"]
    else:
        shift = shape.shift
        left = [f"ssat {name}, #{32 - shift}, {name}", f"lsl {name}, {name}, #{shift}"]
        right = [f"asr {name}, {name}, #{-shift}"]
        lines = [*(left if shift > 0 else right if shift < 0 else [])]
        lines += [f"smull r9, {name}, {name}, r7", "adds r9, r9, #0x40000000"]
        lines += [f"adc {name}, {name}, #0", "lsls r9, r9, #1", f"adc {name}, {name}, {name}"]
        lines += [f"qadd {name}, {name}, r8"]
    lines.append(f"ssat {name}, #8, {name}")
    if shape.low > -128:
        lines += [f"cmp {name}, #{shape.low}", "it lt", f"movlt {name}, #{shape.low}"]
    if shape.high < 127:
        lines += [f"cmp {name}, #{shape.high}", "it gt", f"movgt {name}, #{shape.high}"]
    return lines


def _move(pointer: str, amount: int) -> list[str]:
    return add(pointer, pointer, amount, "lr")
