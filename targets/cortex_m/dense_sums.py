"""Micro-kernels of dense layers: up to three results of neighboring pixels, for pairs of channels.

Registers: r0 the window, r1 the constants (dense_packing.py), r2 to r7 six sums, the others words
of weights and of the window. Three pixels of two channels that share words take 18 instructions for
24 products: LDRD and two SXTB16 for the weights, three LDRD for the windows, 12 SMLAD. What is not
needed meanwhile (pointers, limits of loops, the zero point) is on the stack.
"""

from dataclasses import dataclass

from .dense_portable import portable_sums
from .dense_results import results
from .dense_window import Window
from .instructions import Code, Copies, Repeat, add, definition, executed
from .layer import MicroKernel

_NEAR = 1020  # largest offset of LDRD
_FAR = 4095  # of LDR, STRB
_MOST_UNROLLED = 16  # steps of four factors
_MOST_IN_TAIL = 10  # for less than three pixels, which a row has once
_CHUNK = 12  # steps in a loop over longer pieces; in tails half of it
_FRAME = 20  # bytes: window, results, their end, rounding, zero point
_WEIGHTS, _FACTORS = ("r8", "r9", "r10", "r11"), ("r12", "lr")


@dataclass(frozen=True)
class SumsShape:
    """What a micro-kernel is made for.

    Attributes:
        window: What a result reads.
        pixels: Results of neighboring pixels, 1 to 3.
        channels: That one call computes; even, or 1.
        shared: Whether pairs of channels share words.
        row: Bytes from a pixel of the result to the next.
        low: The least result.
        high: The greatest one.
        left: Bits by which sums are moved before they are scaled (dense_packing.Scales).
    """

    window: Window
    pixels: int
    channels: int
    shared: bool
    row: int
    low: int = -128
    high: int = 127
    left: int = 0

    @property
    def name(self) -> str:
        """Of the function in C."""
        kind = "pairs" if self.shared else "channels"
        parts = [f"sum_{self.pixels}_pixels_{self.channels}_{kind}", self.window.name]
        parts += [f"of{self.row}"] * (self.row != self.channels)
        parts += [f"left{self.left}"] * (self.left > 0)
        parts += [f"{self.low}to{self.high}".replace("-", "m")] * (not self._is_whole)
        return "_".join(parts)

    @property
    def group(self) -> int:
        """Channels that are computed at once."""
        return min(self.channels, 2)

    @property
    def shift(self) -> int:
        """Of the layer."""
        return max(self.left - 1, 0)

    @property
    def unrolled(self) -> int:
        """The most steps without a branch."""
        return _MOST_UNROLLED if self.pixels == 3 else _MOST_IN_TAIL

    @property
    def is_aligned(self) -> bool:
        """Whether all windows begin at words, as LDRD needs."""
        window = self.window
        return not any(offset % 2 for offset in (window.pixel, window.row, window.tap))

    @property
    def base(self) -> int:
        """The pixel whose window r0 points to."""
        near = 2 * self.window.pixel * (self.pixels - 1) <= _NEAR
        return 0 if near or not self._reaches_from(1) else 1

    @property
    def uses_pairs(self) -> bool:
        """Whether LDRD reaches the windows of all pixels."""
        return self.is_aligned and self._reaches_from(self.base)

    @property
    def fits(self) -> bool:
        """Whether some load reaches the windows, and a store the results, of all pixels."""
        last = self.pixels - 1
        reached = self.uses_pairs or 2 * self.window.pixel * last + 4 <= _FAR
        return reached and self.row * last + 1 <= _FAR

    @property
    def _is_whole(self) -> bool:
        return (self.low, self.high) == (-128, 127)

    def _reaches_from(self, base: int) -> bool:
        far = 2 * self.window.pixel * max(base, self.pixels - 1 - base)
        return base < self.pixels and far <= _NEAR

    def sums(self, pixel: int) -> list[str]:
        """The registers that sum a pixel's channels."""
        return [f"r{2 + pixel * self.group + i}" for i in range(self.group)]


def sums_kernel(shape: SumsShape) -> MicroKernel:
    """void name(x, w, y, zero_point): x the expanded window of the first pixel, w the constants."""
    parameters = ("const int16_t *x", "const int16_t *w", "int8_t *y", "int32_t zero_point")
    results = f"{shape.channels} channels" if shape.channels > 1 else "a channel"
    comment = (
        f"{shape.pixels} pixels of {results}, each the sum of {shape.window.factors} products."
    )
    text = definition(comment, shape.name, parameters, sums_code(shape), portable_sums(shape))
    return MicroKernel(shape.name, text)


def sums_cost(shape: SumsShape) -> int:
    """Instructions that a call executes with the DSP extension."""
    return executed(sums_code(shape))


def sums_code(shape: SumsShape) -> Code:
    """The instructions."""
    slots = len(shape.window.nest()) + 1
    groups = shape.channels // shape.group
    body: Code = [*_start(shape), *_pieces(shape), *_finish(shape)]
    if groups > 1:
        turn = ["str r10, [sp, #4]", "cmp r10, r11", "bne 1b"]
        body = [Repeat(1, groups, (*body, *turn))]
    rounding = []
    if shape.shared:
        half = 6 - shape.shift
        rounding = [f"mov r12, #{1 << half}", f"add r12, r12, r3, lsl #{half + 1}"]
    return [
        "push {r4-r11, lr}",
        f"sub sp, sp, #{4 * slots}",
        *add("r0", "r0", 2 * shape.window.pixel * shape.base, "r12"),
        "mov lr, r3",
        *rounding,
        *add("r3", "r2", shape.channels, "r3"),
        "push {r0, r2, r3, r12, lr}",
        *body,
        f"add sp, sp, #{_FRAME + 4 * slots}",
        "pop {r4-r11, lr}",
    ]


def _start(shape: SumsShape) -> list[str]:
    """All sums begin with the biases."""
    lines = []
    for pixel in range(shape.pixels):
        load = "ldrd" if shape.group == 2 else "ldr"
        ahead = f", #{4 * shape.group}" if pixel == shape.pixels - 1 else ""
        lines.append(f"{load} {', '.join(shape.sums(pixel))}, [r1]{ahead}")
    return lines


def _pieces(shape: SumsShape) -> Code:
    """All products; where r0 is afterwards does not matter."""
    return _nest(shape, shape.window.nest(), None, 0)


def _nest(shape: SumsShape, nest: list[tuple[int, int]], after: int | None, depth: int) -> Code:
    """The pieces of a nest, which move r0 by `after` bytes."""
    if not nest:
        return _piece(shape, after, depth)
    (count, stride), *inner = nest
    steps = shape.window.length // 4 * count
    for other, _ in inner:
        steps *= other
    if steps <= shape.unrolled:
        last = None if after is None else after - (count - 1) * stride
        turns = [stride] * (count - 1) + [last]
        return [item for turn in turns for item in _nest(shape, inner, turn, depth)]
    body = _nest(shape, inner, stride, depth + 1)
    rest = [] if after is None else add("r0", "r0", after - count * stride, "r12")
    return [*_loop(count, stride, body, depth), *rest]


def _piece(shape: SumsShape, after: int | None, depth: int) -> Code:
    """The steps of a piece."""
    steps = shape.window.length // 4
    ahead = 8 if after is None else after - 8 * (steps - 1)
    if steps <= shape.unrolled:
        return [*_steps(shape, steps - 1), *_step(shape, ahead)]
    most = _CHUNK if shape.pixels == 3 else _CHUNK // 2
    chunk = next((n for n in range(most, 3, -1) if steps % n == 0), most)
    count, rest = divmod(steps, chunk)
    body = _steps(shape, chunk)
    end: Code = [*_steps(shape, rest - 1), *_step(shape, ahead)] if rest else []
    if not rest and after is not None:
        end = add("r0", "r0", after - 8 * steps, "r12")
    return [*_loop(count, 8 * chunk, body, depth), *end]


def _loop(count: int, stride: int, body: Code, depth: int) -> Code:
    """`count` times a body that moves r0 by `stride` bytes."""
    limit = f"[sp, #{_FRAME + 4 * depth}]"
    label = 2 + depth
    turn = (f"ldr r12, {limit}", "cmp r0, r12", f"bne {label}b")
    start = [*add("r12", "r0", count * stride, "r12"), f"str r12, {limit}"]
    return [*start, Repeat(label, count, (*body, *turn))]


def _steps(shape: SumsShape, count: int) -> list[Copies]:
    """Steps of four neighboring factors."""
    return [Copies(count, tuple(_step(shape, 8)))] if count else []


def _step(shape: SumsShape, ahead: int) -> list[str]:
    """Four factors of all results; r0 moves by `ahead` bytes."""
    w0, w1, w2, w3 = _WEIGHTS
    if shape.shared:
        lines = [f"ldrd {w0}, {w1}, [r1], #8", f"sxtb16 {w2}, {w0}", f"sxtb16 {w3}, {w1}"]
        products = [(0, 0, w0), (1, 0, w2), (0, 1, w1), (1, 1, w3)]
    elif shape.group == 2:
        lines = [f"ldrd {w0}, {w1}, [r1], #8"]
        lines += [f"sxtb16 {w2}, {w0}, ror #8", f"sxtb16 {w0}, {w0}"]
        lines += [f"sxtb16 {w3}, {w1}, ror #8", f"sxtb16 {w1}, {w1}"]
        products = [(0, 0, w0), (1, 0, w1), (0, 1, w2), (1, 1, w3)]
    else:
        lines = [f"ldr {w0}, [r1], #4", f"sxtb16 {w2}, {w0}, ror #8", f"sxtb16 {w0}, {w0}"]
        products = [(0, 0, w0), (0, 1, w2)]
    order = [pixel for pixel in range(shape.pixels) if pixel != shape.base] + [shape.base]
    for pixel in order:
        sums = shape.sums(pixel)
        lines += _load(shape, pixel, ahead)
        lines += [
            f"smlad {sums[channel]}, {_FACTORS[word]}, {weight}, {sums[channel]}"
            for channel, word, weight in products
        ]
    return lines + _move(shape, ahead)


def _load(shape: SumsShape, pixel: int, ahead: int) -> list[str]:
    x0, x1 = _FACTORS
    offset = 2 * shape.window.pixel * (pixel - shape.base)
    is_last = pixel == shape.base and not _move(shape, ahead)
    at = f"[r0], #{ahead}" if is_last else f"[r0, #{offset}]"
    if shape.uses_pairs:
        return [f"ldrd {x0}, {x1}, {at}"]
    return [f"ldr {x1}, [r0, #{offset + 4}]", f"ldr {x0}, {at}"]


def _move(shape: SumsShape, ahead: int) -> list[str]:
    """What moves r0 where a load cannot do so by the way."""
    most = _NEAR if shape.uses_pairs else 255
    reached = abs(ahead) <= most and (ahead % 4 == 0 or not shape.uses_pairs)
    return [] if reached else add("r0", "r0", ahead, "r12")


def _finish(shape: SumsShape) -> list[str]:
    """Scales all sums and stores the results."""
    pixels = range(shape.pixels)
    sums = [shape.sums(pixel) for pixel in pixels]
    load = "ldrd r8, r9" if shape.group == 2 else "ldr r8"
    lines = [f"sub {own[0]}, {own[0]}, {own[1]}" for own in sums if shape.shared]
    lines.append(f"{load}, [r1], #{4 * shape.group}")
    lines.append("ldm sp, {r0, r10, r11, r12, lr}")
    limits, scales = (shape.low, shape.high), ("r8", "r9")[: shape.group]
    for own in sums:
        lines += results(own, scales, shape.shared, limits, shape.left)
    stores = [
        f"strb {register}, [r10, #{pixel * shape.row + channel}]"
        for pixel in pixels
        for channel, register in enumerate(sums[pixel])
    ]
    # the first pixel's first channel comes last, and moves the pointer
    return [*lines, *stores[1:], f"strb {sums[0][0]}, [r10], #{shape.group}"]
