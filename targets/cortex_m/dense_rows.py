"""Micro-kernels that widen int8 pixels to int16 rows for dense layers, and move such rows.

Of four neighboring bytes b0 b1 b2 b3, two SXTB16 make the words (b0, b2) and (b1, b3), so channels
lie in the order 0 2 1 3 in each four of a pixel; weights are packed in the same order. Pixels of
one or two channels keep their order, since windows begin anywhere among them. All others are
filled up to whole fours, with what is multiplied by weights of zero.

Pixels of one to three channels are loaded as unaligned words, which Armv7-M and later do unless
CCR.UNALIGN_TRP forbids it; so are windows of one channel (dense_sums.py).
"""

from dataclasses import dataclass

import numpy as np

from .instructions import Code, Copies, definition
from .layer import Array, MicroKernel

_PIXELS = ("const int8_t *x", "int16_t *y", "int32_t {}")


@dataclass(frozen=True)
class Widening:
    """How rows of pixels with `channels` channels are widened.

    Attributes:
        kernel: The micro-kernel name(x, y, count).
        counts: What `count` grows by for each pixel.
        channels: Of a pixel in int8.
        elements: That a pixel has in int16.
    """

    kernel: MicroKernel
    counts: int
    channels: int
    elements: int

    @property
    def order(self) -> Array:
        """For each element of a widened pixel its channel; those >= `channels` do not count."""
        if self.channels <= 2:
            return np.arange(self.channels)
        return np.arange(self.elements).reshape(-1, 4)[:, [0, 2, 1, 3]].reshape(-1)

    def cost(self, pixels: int) -> int:
        """Instructions of a call with the DSP extension."""
        count = max(pixels, 0) * self.counts
        whole, rest = divmod(count, 4)
        if self.channels % 4 == 0:
            return 6 + 12 * whole + 6 * rest
        if self.channels <= 2:
            return 6 + 9 * whole + 4 * rest
        if self.channels == 3:
            whole, rest = divmod(max(count - 1, 0), 4)
            return 11 + 18 * whole + 6 * rest
        return count * 7 * self.elements // 4  # C that the compiler expands in place


def widening(channels: int) -> Widening:
    """How pixels of so many channels are widened."""
    if channels <= 2:
        return Widening(_neighbors(), channels, channels, channels)
    if channels == 3:
        return Widening(_threes(), 1, 3, 4)
    if channels % 4:
        elements = -(-channels // 4) * 4
        return Widening(_pixels(channels, elements), 1, channels, elements)
    return Widening(_fours(), channels // 4, channels, channels)


def _fours() -> MicroKernel:
    code: Code = [
        "push {r4-r11}",
        "subs r2, r2, #4",
        "bmi 2f",
        "1:",
        "ldm r0!, {r4, r6, r8, r10}",
        *(
            line
            for low, high in (("r4", "r5"), ("r6", "r7"), ("r8", "r9"), ("r10", "r11"))
            for line in (f"sxtb16 {high}, {low}, ror #8", f"sxtb16 {low}, {low}")
        ),
        "stm r1!, {r4-r11}",
        "subs r2, r2, #4",
        "bpl 1b",
        "2:",
        "adds r2, r2, #4",
        "ble 4f",
        "3:",
        "ldr r4, [r0], #4",
        "sxtb16 r5, r4, ror #8",
        "sxtb16 r4, r4",
        "strd r4, r5, [r1], #8",
        "subs r2, r2, #1",
        "bne 3b",
        "4:",
        "pop {r4-r11}",
    ]
    portable = """
    for (int32_t i = 0; i < fours; ++i, x += 4, y += 4) {
        const int8_t second = x[1];
        y[0] = x[0];
        y[1] = x[2];
        y[2] = second;
        y[3] = x[3];
    }
    """
    return _kernel("Widens fours of bytes, in the order 0 2 1 3.", "widen_fours", "fours", code,
                   portable)  # fmt: skip


def _threes() -> MicroKernel:
    # A word holds a pixel and a byte behind it, which the last pixel may not have.
    pixel = ("ldr r4, [r0], #3", "sxtb16 r5, r4, ror #8", "sxtb16 r4, r4", "strd r4, r5, [r1], #8")
    code: Code = [
        "push {r4-r6}",
        "subs r2, r2, #5",
        "bmi 2f",
        "1:",
        Copies(4, pixel),
        "subs r2, r2, #4",
        "bpl 1b",
        "2:",
        "adds r2, r2, #4",
        "bmi 5f",
        "beq 4f",
        "3:",
        *pixel,
        "subs r2, r2, #1",
        "bne 3b",
        "4:",
        "ldrsb r4, [r0]",
        "ldrsb r5, [r0, #1]",
        "ldrsb r6, [r0, #2]",
        "pkhbt r4, r4, r6, lsl #16",
        "strd r4, r5, [r1]",
        "5:",
        "pop {r4-r6}",
    ]
    portable = """
    for (int32_t i = 0; i < pixels; ++i, x += 3, y += 4) {
        y[0] = x[0];
        y[1] = x[2];
        y[2] = x[1];
        y[3] = 0;
    }
    """
    return _kernel("Widens pixels of three channels to four: 0 2 1 and nothing.", "widen_threes",
                   "pixels", code, portable)  # fmt: skip


def _neighbors() -> MicroKernel:
    code: Code = [
        "push {r4-r6}",
        "subs r2, r2, #4",
        "bmi 2f",
        "1:",
        "ldr r4, [r0], #4",
        "sxtb16 r5, r4",
        "sxtb16 r6, r4, ror #8",
        "pkhbt r4, r5, r6, lsl #16",
        "pkhtb r5, r6, r5, asr #16",
        "str r4, [r1], #4",
        "str r5, [r1], #4",
        "subs r2, r2, #4",
        "bpl 1b",
        "2:",
        "adds r2, r2, #4",
        "ble 4f",
        "3:",
        "ldrsb r4, [r0], #1",
        "strh r4, [r1], #2",
        "subs r2, r2, #1",
        "bne 3b",
        "4:",
        "pop {r4-r6}",
    ]
    portable = """
    for (int32_t i = 0; i < count; ++i)
        y[i] = x[i];
    """
    return _kernel("Widens bytes.", "widen_bytes", "count", code, portable)


def _pixels(channels: int, elements: int) -> MicroKernel:
    """The same C on every core: such numbers of channels are rare."""
    whole = channels // 4 * 4
    stores = []
    for place, channel in enumerate((whole, whole + 2, whole + 1)):
        value = f"x[{channel}]" if channel < channels else "0"
        stores.append(f"        y[{whole + place}] = {value};")
    fours = f"""\
        for (int32_t c = 0; c < {whole}; c += 4) {{
            y[c] = x[c];
            y[c + 1] = x[c + 2];
            y[c + 2] = x[c + 1];
            y[c + 3] = x[c + 3];
        }}"""
    name = f"widen_pixels_{channels}"
    lines = [
        f"/* Widens pixels of {channels} channels, fours in the order 0 2 1 3. */",
        f"static void {name}(const int8_t *x, int16_t *y, int32_t pixels)",
        "{",
        f"    for (int32_t i = 0; i < pixels; ++i, x += {channels}, y += {elements}) {{",
        fours,
        *stores,
        f"        y[{whole + 3}] = 0;",
        "    }",
        "}",
    ]
    return MicroKernel(name, "\n".join(lines) + "\n")


def fill_kernel() -> MicroKernel:
    """void fill_pairs(y, pairs, value): `value` in so many pairs of int16."""
    code: Code = [
        "push {r4-r9}",
        "pkhbt r2, r2, r2, lsl #16",
        *(f"mov r{i}, r2" for i in range(3, 10)),
        "subs r1, r1, #8",
        "bmi 2f",
        "1:",
        "stm r0!, {r2-r9}",
        "subs r1, r1, #8",
        "bpl 1b",
        "2:",
        "adds r1, r1, #8",
        "ble 4f",
        "3:",
        "str r2, [r0], #4",
        "subs r1, r1, #1",
        "bne 3b",
        "4:",
        "pop {r4-r9}",
    ]
    portable = """
    for (int32_t i = 0; i < 2 * pairs; ++i)
        y[i] = (int16_t)value;
    """
    parameters = ("int16_t *y", "int32_t pairs", "int32_t value")
    comment = "Fills pairs of int16 with a value."
    return MicroKernel("fill_pairs", definition(comment, "fill_pairs", parameters, code, portable))


def move_kernel() -> MicroKernel:
    """void move_pairs(y, x, pairs): pairs of int16 to lower addresses; the two may overlap."""
    code: Code = [
        "push {r4-r10}",
        "subs r2, r2, #8",
        "bmi 2f",
        "1:",
        "ldm r1!, {r3-r10}",
        "stm r0!, {r3-r10}",
        "subs r2, r2, #8",
        "bpl 1b",
        "2:",
        "adds r2, r2, #8",
        "ble 4f",
        "3:",
        "ldr r3, [r1], #4",
        "str r3, [r0], #4",
        "subs r2, r2, #1",
        "bne 3b",
        "4:",
        "pop {r4-r10}",
    ]
    # two at a time: compilers make memmove of single ones
    portable = """
    for (int32_t i = 0; i < 2 * pairs; i += 2) {
        const int16_t first = x[i], second = x[i + 1];
        y[i] = first;
        y[i + 1] = second;
    }
    """
    parameters = ("int16_t *y", "const int16_t *x", "int32_t pairs")
    comment = "Moves int16 towards the front."
    return MicroKernel("move_pairs", definition(comment, "move_pairs", parameters, code, portable))


def fill_cost(pairs: int) -> int:
    """Instructions of a call that fills so many."""
    return 14 + pairs // 8 * 3 + pairs % 8 * 3


def move_cost(pairs: int) -> int:
    """Instructions of a call that moves so many."""
    return 6 + pairs // 8 * 4 + pairs % 8 * 4


def _kernel(comment: str, name: str, counted: str, code: Code, portable: str) -> MicroKernel:
    parameters = tuple(parameter.format(counted) for parameter in _PIXELS)
    return MicroKernel(name, definition(comment, name, parameters, code, portable))
