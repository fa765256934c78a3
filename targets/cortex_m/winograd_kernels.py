"""Micro-kernels for 3x3 convolutions with 16 products for four results: Winograd's F(2x2, 3x3).

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2015. With G doubled, all is in
integers: for a tile d of 4x4 inputs and a filter g

    U = (2 G) g (2 G)^T, V = B^T d B, A^T (sum over channels of U V) A = 4 times the 2x2 sums

|U| <= 9 * 127 and |V| <= 4 * 128 fit int16, and whatever wraps between, the end is exact: bytes are
those of the direct convolution. `positions` are the 16 elements of a tile, row by row.
"""

from dataclasses import dataclass

from .dense_results import clamp
from .instructions import Code, Copies, Repeat, add, definition, executed
from .layer import MicroKernel

POSITIONS = 16
MOST_CHANNELS = 168  # three tiles of which STRD steps over
_MOST_UNROLLED = 16  # steps of four channels
# Row or column i of B^T d is d[first] - d[second], or their sum.
_INPUTS = ((0, 2, "-"), (1, 2, "+"), (2, 1, "-"), (1, 3, "-"))


@dataclass(frozen=True)
class TilesShape:
    """What the micro-kernels are made for.

    Attributes:
        tiles: Neighboring tiles that are computed at once, 1 to 3.
        channels: Of the input; a multiple of 4.
        row: int16 of an expanded row.
        results: Channels of the result.
        result_row: Bytes of a row of results.
        low: The least result.
        high: The greatest one.
    """

    tiles: int
    channels: int
    row: int
    results: int
    result_row: int
    low: int
    high: int

    @property
    def step(self) -> int:
        """int16 from a position to the next."""
        return self.tiles * self.channels

    @property
    def fits(self) -> bool:
        """Whether instructions reach what they load and store."""
        far = self.result_row + self.results + 1
        return self.channels <= MOST_CHANNELS and 2 * self.row <= 4095 and far <= 4095


def inputs_kernel(shape: TilesShape) -> MicroKernel:
    """void name(x, v): a tile of expanded pixels as 16 positions."""
    name = f"tile_inputs_{shape.tiles}x{shape.channels}_row{shape.row}"
    parameters = ("const int16_t *x", "int16_t *v")
    comment = f"B^T d B for a tile of {shape.channels} channels, of {shape.tiles} tiles."
    text = definition(comment, name, parameters, inputs_code(shape), _portable_inputs(shape))
    return MicroKernel(name, text)


def products_kernel(shape: TilesShape) -> MicroKernel:
    """void name(v, u, m): the sums of two channels, [position][tile][channel]."""
    name = f"tile_products_{shape.tiles}x{shape.channels}"
    parameters = ("const int16_t *v", "const int16_t *u", "int16_t *m")
    comment = f"Sums over {shape.channels} channels, for two results at {POSITIONS} positions."
    text = definition(comment, name, parameters, products_code(shape), _portable_products(shape))
    return MicroKernel(name, text)


def results_kernel(shape: TilesShape) -> MicroKernel:
    """void name(m, scales, y, zero_point): scales are (4 bias, multiplier) of two channels."""
    limits = f"_{shape.low}to{shape.high}".replace("-", "m")
    limits = limits * ((shape.low, shape.high) != (-128, 127))
    name = f"tile_results_{shape.tiles}x{shape.results}_row{shape.result_row}{limits}"
    parameters = ("const int16_t *m", "const int16_t *scales", "int8_t *y", "int32_t zero_point")
    comment = f"A^T m A for two channels of {shape.tiles} tiles, as results."
    text = definition(comment, name, parameters, results_code(shape), _portable_results(shape))
    return MicroKernel(name, text)


def cost(shape: TilesShape) -> int:
    """Instructions for the tiles of one strip, without calls."""
    pairs = executed(products_code(shape)) + executed(results_code(shape))
    return shape.tiles * executed(inputs_code(shape)) + shape.results // 2 * pairs


def inputs_code(shape: TilesShape) -> Code:
    """Registers: r0, r12, lr rows; r1 v; r2 to r9 four columns of two words; r10, r11 a word."""
    row, column = 2 * shape.row, 2 * shape.channels
    bases = {0: "r0", 1: "r12", 2: "lr", 3: "lr"}
    body = [*add("r12", "r0", row, "r12"), *add("lr", "r12", row, "lr")]
    for first, second, sign in _INPUTS:
        if second == 3:
            body += add("lr", "lr", row, "lr")
        columns = [(f"r{2 + 2 * j}", f"r{3 + 2 * j}") for j in range(4)]
        for j, own in enumerate(columns):
            body.append(f"ldrd {own[0]}, {own[1]}, [{bases[first]}, #{j * column}]")
        for j, own in enumerate(columns):
            body.append(f"ldrd r10, r11, [{bases[second]}, #{j * column}]")
            body += [
                _simd(sign, word, word, other)
                for word, other in zip(own, ("r10", "r11"), strict=True)
            ]
        for left, right, side in _INPUTS:
            for target, a, b in zip(("r10", "r11"), columns[left], columns[right], strict=True):
                body.append(_simd(side, target, a, b))
            body.append(f"strd r10, r11, [r1], #{2 * shape.step}")
    body += [*add("r1", "r1", 8 - 2 * shape.step * POSITIONS, "r10"), "add r0, r0, #8"]
    turn = ("ldr r10, [sp]", "cmp r0, r10", "bne 1b")
    return [
        "push {r4-r11, lr}",
        *add("r2", "r0", column, "r2"),
        "push {r2, r3}",
        Repeat(1, shape.channels // 4, (*body, *turn)),
        "add sp, sp, #8",
        "pop {r4-r11, lr}",
    ]


def _simd(sign: str, target: str, a: str, b: str) -> str:
    return f"{'sadd16' if sign == '+' else 'ssub16'} {target}, {a}, {b}"


def products_code(shape: TilesShape) -> Code:
    """Registers: r0 v, r1 u, r2 to r7 sums, r8 to r11 words of two channels, r12 and lr of v."""
    steps = shape.channels // 4
    ahead = 8 + 2 * (shape.step - shape.channels)
    first, other = tuple(_step(shape, 8, "smuad")), tuple(_step(shape, 8, "smlad"))
    body: list[str | Repeat | Copies] = []
    if steps == 1:
        body += _step(shape, ahead, "smuad")
    elif steps <= _MOST_UNROLLED:
        body += [*first, *[Copies(steps - 2, other)] * (steps > 2), *_step(shape, ahead, "smlad")]
    else:
        chunk, rest = divmod(steps - 2, 8)
        again = ("ldr r12, [sp, #8]", "cmp r0, r12", "bne 2b")
        body += [*first, f"add r12, r0, #{64 * chunk}", "str r12, [sp, #8]"]
        body += [Repeat(2, chunk, (Copies(8, other), *again)), *[Copies(rest, other)] * (rest > 0)]
        body += _step(shape, ahead, "smlad")
    sums = f"r2-r{1 + 2 * shape.tiles}"
    turn = ("ldrd r12, lr, [sp]", f"stm r12!, {{{sums}}}", "str r12, [sp]", "cmp r12, lr", "bne 1b")
    return [
        "push {r4-r11, lr}",
        *add("r3", "r2", 8 * shape.tiles * POSITIONS, "r3"),
        "push {r2, r3, r4}",
        Repeat(1, POSITIONS, (*body, *turn)),
        "add sp, sp, #12",
        "pop {r4-r11, lr}",
    ]


def _step(shape: TilesShape, ahead: int, multiply: str) -> list[str]:
    """Four channels of all tiles; the first words begin the sums."""
    lines = ["ldm r1!, {r8-r11}"]
    for tile in [*range(1, shape.tiles), 0]:
        at = f"[r0, #{2 * tile * shape.channels}]" if tile else f"[r0], #{ahead}"
        lines.append(f"ldrd r12, lr, {at}")
        for channel in (0, 1):
            total, weight = f"r{2 + 2 * tile + channel}", 8 + 2 * channel
            begin = f", {total}" * (multiply == "smlad")
            lines.append(f"{multiply} {total}, r12, r{weight}{begin}")
            lines.append(f"smlad {total}, lr, r{weight + 1}, {total}")
    return lines


def results_code(shape: TilesShape) -> Code:
    """Registers: r0 m, r1 scales, r2 y, r3 bias, r4 to r7 and r8 to r11 two rows of columns."""
    body: list[str] = []
    for channel in (0, 1):
        body.append(f"ldr r3, [r1, #{8 * channel}]")
        for j in range(4):
            top, bottom = f"r{4 + j}", f"r{8 + j}"
            for register, i in ((top, 0), ("r12", 1), ("lr", 2), (bottom, 3)):
                at = (4 * i + j) * 8 * shape.tiles + 4 * channel
                body.append(f"ldr {register}, [r0, #{at}]")
            body += ["add r12, r12, r3"] * (j == 1)
            body += [f"add {top}, {top}, r12", f"add {top}, {top}, lr"]
            body += ["sub r12, r12, lr", f"sub {bottom}, r12, {bottom}"]
        body += [f"ldr r12, [r1, #{8 * channel + 4}]", "ldr lr, [sp]"]
        for a, b, c, d in (("r4", "r5", "r6", "r7"), ("r8", "r9", "r10", "r11")):
            body += [f"add {a}, {a}, {b}", f"add {a}, {a}, {c}"]
            body += [f"sub {b}, {b}, {c}", f"sub {b}, {b}, {d}"]
        for register, at in _places(shape, channel):
            body.append(f"smmla {register}, {register}, r12, lr")
            body += clamp(register, (shape.low, shape.high), 1)
            body.append(f"strb {register}, [r2, #{at}]")
    body += ["add r0, r0, #8", *add("r2", "r2", 2 * shape.results, "r3")]
    turn = ("ldr r3, [sp, #4]", "cmp r0, r3", "bne 1b")
    return [
        "push {r4-r11, lr}",
        "mov r4, #1",
        "add r4, r4, r3, lsl #1",
        f"add r5, r0, #{8 * shape.tiles}",
        "push {r4, r5}",
        Repeat(1, shape.tiles, (*body, *turn)),
        "add sp, sp, #8",
        "pop {r4-r11, lr}",
    ]


def _places(shape: TilesShape, channel: int) -> list[tuple[str, int]]:
    """Registers of the four results of a tile, and where they go."""
    down, right = shape.result_row, shape.results
    places = [("r4", 0), ("r5", right), ("r8", down), ("r9", down + right)]
    return [(register, at + channel) for register, at in places]


def _portable_inputs(shape: TilesShape) -> str:
    lines = []
    for i, (first, second, sign) in enumerate(_INPUTS):
        for j in range(4):
            a, b = (f"x[{row * shape.row + j * shape.channels}]" for row in (first, second))
            lines.append(f"const int v{i}{j} = {a} {sign} {b};")
        for j, (left, right, side) in enumerate(_INPUTS):
            place = (4 * i + j) * shape.step
            lines.append(f"v[{place}] = (int16_t)(v{i}{left} {side} v{i}{right});")
    inside = "\n".join("        " + line for line in lines)
    return f"    for (int32_t c = 0; c < {shape.channels}; ++c, ++x, ++v) {{\n{inside}\n    }}"


def _portable_products(shape: TilesShape) -> str:
    tiles, channels = shape.tiles, shape.channels
    return f"""
    int32_t *sums = (int32_t *)(void *)m;
    for (int32_t position = 0; position < {POSITIONS}; ++position, u += {2 * channels}) {{
        for (int32_t tile = 0; tile < {tiles}; ++tile, v += {channels}) {{
            int32_t first = 0, second = 0;
            for (int32_t c = 0; c < {channels}; ++c) {{
                const int16_t *pair = u + c + (c & ~3);
                first += v[c] * pair[0];
                second += v[c] * pair[4];
            }}
            *sums++ = first;
            *sums++ = second;
        }}
    }}
"""


def _portable_results(shape: TilesShape) -> str:
    step = 2 * shape.tiles
    sums = []
    for j in range(4):
        a, b, c, d = (f"sum[{(4 * i + j) * step}]" for i in range(4))
        bias = " + bias" * (j == 1)
        sums.append(f"const int32_t top{j} = {a} + {b} + {c}{bias};")
        sums.append(f"const int32_t bottom{j} = {b} - {c} - {d}{bias};")
    stores = []
    for row, name in enumerate(("top", "bottom")):
        for column, text in enumerate(
            (f"{name}0 + {name}1 + {name}2", f"{name}1 - {name}2 - {name}3")
        ):
            at = row * shape.result_row + column * shape.results
            limits = f"zero_point, {shape.low}, {shape.high}"
            stores.append(f"y[{at}] = result_of_sum(({text}) / 2, scale, {limits});")
    inside = "\n".join("            " + line for line in [*sums, *stores])
    return f"""
    const int32_t *sum = (const int32_t *)(const void *)m;
    for (int32_t tile = 0; tile < {shape.tiles}; ++tile, y += {2 * shape.results - 2}) {{
        for (int32_t channel = 0; channel < 2; ++channel, ++sum, ++y) {{
            const int32_t bias = (int32_t)word_of_halves(scales + 4 * channel);
            const int32_t scale = (int32_t)word_of_halves(scales + 4 * channel + 2);
{inside}
        }}
    }}
"""
