"""Micro-kernels that widen rows of four channels to planes of int16, borders included.

SMLAD multiplies pairs, and in an image that is channels last neighbors of one channel are a pixel
apart. So four channels of a row become four rows of int16, one behind the other, in which two
columns are a word. A pixel is loaded as one word: SXTB16 widens channels 0 and 2 of it, then 1 and
3; PKHBT and PKHTB join them with those of the next pixel. That is 14 instructions for 8 elements.
"""

from dataclasses import dataclass

from .assembly import assembly_kernel, plain_kernel
from .instructions import add, executed
from .layer import MicroKernel

CHANNELS = 4  # that are widened together
_MOST_UNROLLED = 3  # pairs of pixels
_FAREST = 4095


@dataclass(frozen=True)
class PlanesShape:
    """What a widening micro-kernel is made for.

    Args:
        columns: Of the image.
        before: Columns of border on the left.
        words: Of a row of a plane; two columns each, enough for both borders.
        pixel_bytes: From a pixel to its right neighbor.
    """

    columns: int
    before: int
    words: int
    pixel_bytes: int

    @property
    def name(self) -> str:
        """Of the function in C."""
        return f"widen_rows_{self.columns}_{self.before}_{self.words}_{self.pixel_bytes}"

    @property
    def row_bytes(self) -> int:
        """Of a row of all four planes."""
        return 4 * self.words * CHANNELS

    def instructions(self, rows: int) -> int:
        """That a call executes."""
        pairs, inner = self.columns // 2, _pairs(self)
        around = executed(_row(self)) - executed(inner)
        turns = pairs // self.unrolled if pairs else 1
        return executed(_BEFORE) + rows * (around + turns * executed(inner)) + 2

    @property
    def unrolled(self) -> int:
        """Pairs of pixels in one step of the loop."""
        pairs = self.columns // 2
        most = min(_MOST_UNROLLED, (_FAREST // self.pixel_bytes + 1) // 2)
        return max(n for n in range(1, most + 1) if pairs % n == 0)


# r0 the image, r1 the planes, r2 rows to go, r3 the border, r4 pairs to go, r5 and r6 pixel a, r7
# and r8 pixel b, r9 a word
_BEFORE = ["push {r4-r9}"]
_A, _B = ("r5", "r6"), ("r7", "r8")
_BORDER = ("r3", "r3")


def planes_kernel(shape: PlanesShape) -> MicroKernel:
    """Rows of four channels: void name(x, planes, rows, border), border in both halves."""
    parameters = ("const int8_t *x", "int16_t *planes", "int32_t rows", "int32_t border")
    comment = f"Four channels of rows of {shape.columns} pixels as four rows of int16."
    code = [*_BEFORE, "1:", *_row(shape), "pop {r4-r9}"]
    return assembly_kernel(shape.name, comment, parameters, code, _portable(shape, f"{CHANNELS}"))


def few_planes_kernel(shape: PlanesShape) -> MicroKernel:
    """The same for less than four channels: void name(x, planes, rows, border, channels)."""
    name = f"{shape.name}_few"
    signature = (
        f"void {name}(const int8_t *x, int16_t *planes, int32_t rows, int32_t border,"
        " int32_t channels)"
    )
    comment = f"Up to three channels of rows of {shape.columns} pixels as rows of int16."
    return plain_kernel(name, comment, signature, _portable(shape, "channels"))


def border_kernel() -> MicroKernel:
    """Words of border: void fill_words(planes, border, bytes), a multiple of 16."""
    lines = ["mov r12, r1", "push {r4}", "mov r4, r1", "mov r3, r1"]
    lines += ["1:", "stmia r0!, {r1, r3, r4, r12}", "subs r2, #16", "bne 1b", "pop {r4}"]
    body = """
        for (int32_t i = 0; i < bytes / 2; ++i)
            planes[i] = (int16_t)(border >> 16);
    """
    parameters = ("int16_t *planes", "int32_t border", "int32_t bytes")
    return assembly_kernel("fill_rows", "Rows of border.", parameters, lines, body)


def move_kernel() -> MicroKernel:
    """A row of planes to a row before it: void move_row(to, from, bytes), a multiple of 16."""
    lines = ["push {r4, r5}", "1:", "ldmia r1!, {r3, r4, r5, r12}"]
    lines += ["stmia r0!, {r3, r4, r5, r12}", "subs r2, #16", "bne 1b", "pop {r4, r5}"]
    parameters = ("int16_t *to", "const int16_t *from", "int32_t bytes")
    body = "memcpy(to, from, (size_t)bytes);"
    return assembly_kernel("move_row", "Copy a row of planes.", parameters, lines, body)


def _portable(shape: PlanesShape, channels: str) -> str:
    return f"""
        for (int32_t row = 0; row < rows; ++row) {{
            for (int32_t channel = 0; channel < {channels}; ++channel) {{
                int16_t *plane = planes + channel * {2 * shape.words};
                for (int32_t i = 0; i < {2 * shape.words}; ++i) {{
                    const int32_t column = i - {shape.before};
                    const int inside = column >= 0 && column < {shape.columns};
                    const int8_t *pixel = x + (inside ? column : 0) * {shape.pixel_bytes};
                    plane[i] = inside ? pixel[channel] : (int16_t)(border >> 16);
                }}
            }}
            x += {shape.columns * shape.pixel_bytes};
            planes += {shape.row_bytes // 2};
        }}
    """


def _row(shape: PlanesShape) -> list[str]:
    """Pixels a and b in turns; with a border on the left, b comes before a."""
    pairs, single = divmod(shape.columns, 2)
    odd, outside = shape.before % 2, shape.before // 2
    lines = _border(shape, range(outside))
    lines += add("r1", "r1", 4 * outside, "r9")
    lines += [f"mov {name}, r3" for name in _B] * odd
    word = 0  # behind r1
    if pairs:
        steps = pairs // shape.unrolled
        lines += [f"movw r4, #{steps}", "2:"] * (steps > 1)
        lines += _pairs(shape)
    if single:
        lines += [*_load(_A, 0), *add("r0", "r0", shape.pixel_bytes, "r9")]
        lines += _store(shape, *((_B, _A) if odd else (_A, _BORDER)), word=word)
        word += 1
    elif odd:
        lines += _store(shape, _B, _BORDER, word=word)
        word += 1
    lines += _border(shape, range(word, shape.words - pairs - outside))
    lines += add("r1", "r1", shape.row_bytes - 4 * (pairs + outside), "r9")
    return [*lines, "subs r2, #1", "bne 1b"]


def _border(shape: PlanesShape, words: range) -> list[str]:
    """Words of border, of all four channels."""
    places = [word + channel * shape.words for word in words for channel in range(CHANNELS)]
    return [f"str r3, [r1, #{4 * place}]" for place in places]


def _pairs(shape: PlanesShape) -> list[str]:
    """A step of the loop over pairs."""
    pairs, unrolled = shape.columns // 2, shape.unrolled
    lines: list[str] = []
    for pair in range(unrolled if pairs else 0):
        first = _load(_A, 2 * pair * shape.pixel_bytes)
        second = _load(_B, (2 * pair + 1) * shape.pixel_bytes)
        if shape.before % 2:
            lines += [*first, *_store(shape, _B, _A, word=pair), *second]
        else:
            lines += [*first, *second, *_store(shape, _A, _B, word=pair)]
    lines += add("r0", "r0", 2 * unrolled * shape.pixel_bytes, "r9") if pairs else []
    lines += add("r1", "r1", 4 * unrolled, "r9") if pairs else []
    return [*lines, *["subs r4, #1", "bne 2b"] * (pairs > unrolled)]


def _load(pixel: tuple[str, str], offset: int) -> list[str]:
    """Channels 0 and 2, and 1 and 3."""
    even, odd = pixel
    return [f"ldr r9, [r0, #{offset}]", f"sxtb16 {even}, r9", f"sxtb16 {odd}, r9, ror #8"]


def _store(
    shape: PlanesShape, left: tuple[str, str], right: tuple[str, str], *, word: int
) -> list[str]:
    """Words of two neighboring pixels, for the four channels."""
    lines = []
    for channel in range(CHANNELS):
        one, other = left[channel % 2], right[channel % 2]
        if channel < 2:
            lines.append(f"pkhbt r9, {one}, {other}, lsl #16")
        else:
            lines.append(f"pkhtb r9, {other}, {one}, asr #16")
        lines.append(f"str r9, [r1, #{4 * (word + channel * shape.words)}]")
    return lines
