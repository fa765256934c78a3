"""Micro-kernels that sum the nine taps of depthwise 3x3 convolutions, a channel at a time.

They read planes of int16 (depthwise_planes.py): pairs of neighboring columns are words, and SMLAD
multiplies two of them by two taps. Of three taps in a row a pair and a single one are left, so a
result takes 6 instructions; two neighboring results share the loads. Registers: r0 the window, r2
the results, r3 to r8 the nine taps (six words, so that either end can be single), r9 the bias,
r10 and r11 two words of the window, r12 and r1 two sums, lr where a row or the image ends. The
multiplier and the zero point are on the stack.
"""

from dataclasses import dataclass

from .assembly import assembly_kernel
from .instructions import add, executed
from .layer import MicroKernel

RECORD_WORDS = 9  # of a channel: six of taps, bias, multiplier, zero point of the result
_FAR = 1020  # the largest offset of LDRD
_FAREST = 4095  # of the others
_MOST_UNROLLED = 6  # pairs of results


@dataclass(frozen=True)
class SumsShape:
    """What a summing micro-kernel is made for.

    Args:
        columns: Results in a row.
        stride: 1 or 2, along both axes.
        row_bytes: From a row of the plane to the next.
        pixel_bytes: From a result to its right neighbor.
        low: The least result.
        high: The greatest one.
        shift: None for constants that are `HighProducts`; else that of the layer, whose own
            constants take seven instructions more for each result.
    """

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
        clamp = "" if (self.low, self.high) == (-128, 127) else f"_{self.low}_{self.high}"
        clamp += "" if self.shift is None else f"_shift_{self.shift}"
        clamp = clamp.replace("-", "m")
        sizes = f"{self.columns}_{self.row_bytes}_{self.pixel_bytes}"
        return f"sum_3x3_stride_{self.stride}_{sizes}{clamp}"

    def instructions(self, rows: int) -> int:
        """That a call executes."""
        inner = _step(self)
        around = executed(_row(self)) - executed(inner)
        turns = self.columns // 2 // self.unrolled if self.has_inner_loop else 1
        return executed(_before(self)) + rows * (around + turns * executed(inner)) + 2

    @property
    def unrolled(self) -> int:
        """Pairs of results in one step of the inner loop."""
        pairs = self.columns // 2
        most = min(pairs, _MOST_UNROLLED, (_FAREST // self.pixel_bytes - 1) // 2)
        return max((n for n in range(1, most + 1) if pairs % n == 0), default=0)

    @property
    def fits(self) -> bool:
        """Whether offsets fit their instructions."""
        near = 3 * self.row_bytes + 4 * self.columns * self.stride <= _FAREST
        return near and 3 * self.pixel_bytes <= _FAREST

    @property
    def record_words(self) -> int:
        """Of a channel."""
        return RECORD_WORDS

    @property
    def has_inner_loop(self) -> bool:
        """Whether a row takes several steps."""
        return self.columns // 2 > self.unrolled


def sums_kernel(shape: SumsShape) -> MicroKernel:
    """rows of results of one channel: void name(plane, record, y, rows)."""
    parameters = ("const int16_t *plane", "const int32_t *record", "int8_t *y", "int32_t rows")
    comment = f"One channel of a depthwise 3x3 convolution, {shape.columns} results in a row."
    code = [*_before(shape), "1:", *_row(shape), "add sp, sp, #12", "pop {r4-r11, lr}"]
    return assembly_kernel(shape.name, comment, parameters, code, _portable(shape))


def _portable(shape: SumsShape) -> str:
    row = shape.row_bytes // 2
    return f"""
        for (int32_t row = 0; row < rows; ++row) {{
            const int16_t *window = plane + row * {shape.stride * row};
            for (int32_t column = 0; column < {shape.columns}; ++column) {{
                int32_t sum = record[6];
                for (int32_t tap = 0; tap < 3; ++tap) {{
                    const int16_t *taken = window + tap * {row};
                    sum += taken[0] * (int16_t)(record[2 * tap] & 0xffff);
                    sum += taken[1] * (record[2 * tap] >> 16);
                    sum += taken[2] * (record[2 * tap + 1] >> 16);
                }}
                *y = {_requantized(shape)};
                y += {shape.pixel_bytes};
                window += {shape.stride};
            }}
        }}
    """


def _requantized(shape: SumsShape) -> str:
    limits = f"record[8], {shape.low}, {shape.high})"
    if shape.shift is None:
        return f"requantize_high(sum, record[7], {limits}"
    return f"requantize_shifted(sum, record[7], {shape.shift}, {limits}"


def _before(shape: SumsShape) -> list[str]:
    """On the stack: multiplier, zero point, where the image ends."""
    row_bytes = shape.stride * shape.row_bytes
    lines = ["push {r4-r11, lr}", "sub sp, sp, #12"]
    lines += [f"movw r12, #{row_bytes}", "mla lr, r3, r12, r0", "str lr, [sp, #8]"]
    if shape.has_inner_loop:
        lines += add("lr", "r0", 2 * shape.stride * (shape.columns & ~1), "r12")
    return [*lines, "ldrd r10, r11, [r1, #28]", "strd r10, r11, [sp]", "ldm r1, {r3-r9}"]


def _row(shape: SumsShape) -> list[str]:
    step = 4 * shape.stride  # bytes that two results move the window by
    pairs, single = divmod(shape.columns, 2)
    moved, written = 0, 2 * shape.unrolled
    lines = _step(shape)
    if shape.has_inner_loop:
        moved, written = pairs * step, 0
    if single:
        lines += _sums(shape, pairs * step - moved, "r12")
        lines += ["ldrd r10, r11, [sp]", *_results(shape, ["r12"])]
        lines.append(f"strb r12, [r2, #{written * shape.pixel_bytes}]")
        written += 1
    lines += add("r0", "r0", shape.stride * shape.row_bytes - moved, "r10")
    lines += add("r2", "r2", written * shape.pixel_bytes, "r10")
    if shape.has_inner_loop:
        lines += [*add("lr", "lr", shape.stride * shape.row_bytes, "r10"), "ldr r10, [sp, #8]"]
        return [*lines, "cmp r0, r10", "bne 1b"]
    return [*lines, "cmp r0, lr", "bne 1b"]


def _step(shape: SumsShape) -> list[str]:
    """As many pairs as are unrolled, and where that is not all, the end of the inner loop."""
    step, unrolled = 4 * shape.stride, shape.unrolled
    lines: list[str] = []
    for pair in range(unrolled):
        lines += _pair(shape, pair * step, 2 * pair * shape.pixel_bytes)
    if shape.has_inner_loop:
        lines += add("r0", "r0", unrolled * step, "r10")
        lines += add("r2", "r2", 2 * unrolled * shape.pixel_bytes, "r10")
        lines += ["cmp r0, lr", "bne 1b"]
    return lines


def _pair(shape: SumsShape, at: int, written: int) -> list[str]:
    """Two results; `at` and `written`: bytes behind the pointers."""
    if shape.stride == 1:
        lines = _sums(shape, at, "r12", "r1")
    else:
        lines = [*_sums(shape, at, "r12"), *_sums(shape, at + 4, "r1")]
    lines += ["ldrd r10, r11, [sp]", *_results(shape, ["r12", "r1"])]
    lines.append(f"strb r12, [r2, #{written}]")
    return [*lines, f"strb r1, [r2, #{written + shape.pixel_bytes}]"]


def _sums(shape: SumsShape, at: int, even: str, odd: str = "") -> list[str]:
    """The nine products of the result whose window starts at a word, and of its neighbor."""
    lines = []
    for row in range(3):
        pair, last = f"r{3 + 2 * row}", f"r{4 + 2 * row}"
        lines += _load_two(at + row * shape.row_bytes)
        for name in (even, odd) if odd else (even,):
            start = "r9" if row == 0 else name
            first, second = ("smlad", "smlabt") if name == even else ("smlatb", "smlad")
            lines.append(f"{first} {name}, r10, {pair}, {start}")
            lines.append(f"{second} {name}, r11, {last}, {name}")
    return lines


def _load_two(offset: int) -> list[str]:
    if offset <= _FAR:
        return [f"ldrd r10, r11, [r0, #{offset}]"]
    return [f"ldr r10, [r0, #{offset}]", f"ldr r11, [r0, #{offset + 4}]"]


def _results(shape: SumsShape, sums: list[str]) -> list[str]:
    if shape.shift is None:
        lines = [f"smmlar {name}, {name}, r10, r11" for name in sums]
    else:
        lines = [line for name in sums for line in _shifted(name, shape.shift)]
    lines += [f"ssat {name}, #8, {name}" for name in sums]
    for name in sums:
        if shape.low > -128:
            lines += [f"cmp {name}, #{shape.low}", "it lt", f"movlt {name}, #{shape.low}"]
        if shape.high < 127:
            lines += [f"cmp {name}, #{shape.high}", "it gt", f"movgt {name}, #{shape.high}"]
    return lines


def _shifted(name: str, shift: int) -> list[str]:
    """zero point + mulh(sum 2^shift, multiplier), in 64 bits; r11 is free for their lower half."""
    left = [f"ssat {name}, #{32 - shift}, {name}", f"lsl {name}, {name}, #{shift}"]
    right = [f"asr {name}, {name}, #{-shift}"]
    return [
        *(left if shift > 0 else right if shift < 0 else []),
        f"smull r11, {name}, {name}, r10",
        "adds r11, r11, #0x40000000",
        f"adc {name}, {name}, #0",
        "lsls r11, r11, #1",
        f"adc {name}, {name}, {name}",
        "ldr r11, [sp, #4]",
        f"qadd {name}, {name}, r11",
    ]
