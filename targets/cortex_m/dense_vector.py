"""One row times a matrix: a micro-kernel that reads int8 as it is, and needs no scratch memory.

Four channels are computed at once, two pairs that share words (dense_packing.py). Each input is
widened once for four products instead of once for the layer, which costs a fifth more than reading
widened ones: 31 instructions for 32 products. Constants lie as for pairs, but each four factors of
one pair are followed by those of the other.
"""

from dataclasses import dataclass

import numpy as np

from .dense_packing import paired, scales_of, share_words, sum_bounds
from .dense_portable import RESULT, WORD, portable_vector
from .dense_results import results
from .instructions import Code, Copies, Repeat, add, definition, executed
from .layer import Array, Layer, MicroKernel
from .products import HIGH_PRODUCT
from .statements import Pointer, call, function

_ORDER = [0, 2, 1, 3]  # of four factors: as SXTB16 widens four bytes
_MOST_UNROLLED = 6  # steps of eight factors
_CALL = 14  # instructions around the call


@dataclass(frozen=True)
class VectorShape:
    """What a micro-kernel is made for: the layer's sizes, limits and shift of sums."""

    factors: int
    channels: int
    low: int
    high: int
    left: int

    @property
    def name(self) -> str:
        """Of the function in C."""
        parts = [f"multiply_{self.factors}_by_{self.channels}"]
        parts += [f"left{self.left}"] * (self.left > 0)
        limits = f"{self.low}to{self.high}".replace("-", "m")
        parts += [limits] * ((self.low, self.high) != (-128, 127))
        return "_".join(parts)

    @property
    def groups(self) -> list[tuple[int, int, int]]:
        """(channels computed at once, channels stored, how often)."""
        fours, rest = divmod(self.channels, 4)
        whole = [(4, 4, fours)] * (fours > 0)
        return whole + [(4 if rest == 3 else 2, rest, 1)] * (rest > 0)


def vector_layer(
    weight: Array,
    bias: Array,
    multiplier: Array,
    shift: int,
    zero_point: int,
    limits: tuple[int, int],
) -> Layer | None:
    """The layer, or None if its channels cannot share words; weight int8 [O, I]."""
    channels, factors = weight.shape
    shape_channels = -(-channels // 2) * 2
    whole = np.pad(weight, ((0, shape_channels - channels), (0, -factors % 4)))
    ordered = whole.reshape(shape_channels, -1, 4)[:, :, _ORDER].reshape(shape_channels, -1)
    biases = np.pad(bias, (0, shape_channels - channels))
    multipliers = np.pad(multiplier, (0, shape_channels - channels))
    bounds = sum_bounds(ordered, biases)
    scales = scales_of(multipliers, shift, bounds)
    if scales is None or not share_words(ordered, bounds, shift):
        return None
    shape = VectorShape(factors, channels, *limits, scales.left)
    x, w, y = Pointer("x", "int8"), Pointer("w", "int16"), Pointer("y", "int8")
    return Layer(
        function([x, w, y], [call(shape.name, x.at(), w.at(), y.at(), zero_point)]),
        (_stream(paired(ordered, biases, multipliers, scales), shape),),
        (WORD, HIGH_PRODUCT, RESULT, vector_kernel(shape)),
        cost=executed(vector_code(shape)) + _CALL,
        variant="without scratch memory",
    )


def _stream(pairs: Array, shape: VectorShape) -> Array:
    """The constants of pairs, those of two pairs interleaved where four channels are computed."""
    rows = pairs.reshape(-(-shape.channels // 2), -1)
    parts, done = [], 0
    for lanes, _, count in shape.groups:
        for _ in range(count):
            taken = rows[done : done + lanes // 2]
            middle = taken[:, 4:-4].reshape(len(taken), -1, 4).transpose(1, 0, 2)
            parts += [taken[:, :4].reshape(-1), middle.reshape(-1), taken[:, -4:].reshape(-1)]
            done += lanes // 2
    return np.concatenate(parts)


def vector_kernel(shape: VectorShape) -> MicroKernel:
    """void name(x, w, y, zero_point)."""
    parameters = ("const int8_t *x", "const int16_t *w", "int8_t *y", "int32_t zero_point")
    comment = f"{shape.channels} channels, each the sum of {shape.factors} products."
    text = definition(comment, shape.name, parameters, vector_code(shape), portable_vector(shape))
    return MicroKernel(shape.name, text)


def vector_code(shape: VectorShape) -> Code:
    """The instructions. r0 x, r1 constants, r2 to r5 sums, r6 to r9 weights, then factors."""
    half = 6 - max(shape.left - 1, 0)
    body: list[str | Repeat | Copies] = []
    for lanes, stored, count in shape.groups:
        group = _group(shape, lanes, stored)
        turn = ("str r10, [sp, #4]", "cmp r10, r11", "bne 1b")
        body += [Repeat(1, count, (*group, *turn))] if lanes == stored == 4 else group
    return [
        "push {r4-r11, lr}",
        "sub sp, sp, #4",
        "mov lr, r3",
        f"mov r12, #{1 << half}",
        f"add r12, r12, r3, lsl #{half + 1}",
        *add("r3", "r2", shape.channels // 4 * 4, "r3"),
        "push {r0, r2, r3, r12, lr}",
        *body,
        "add sp, sp, #24",
        "pop {r4-r11, lr}",
    ]


def _group(shape: VectorShape, lanes: int, stored: int) -> Code:
    """A few channels from their biases to the results."""
    start = "ldm r1!, {r2-r5}" if lanes == 4 else "ldrd r2, r3, [r1], #8"
    scales = "ldm r1!, {r6-r9}" if lanes == 4 else "ldrd r6, r7, [r1], #8"
    sums, multipliers = ["r2", "r3", "r4", "r5"][:lanes], ["r6", "r7", "r8", "r9"][:lanes]
    decoded = [f"sub {sums[i]}, {sums[i]}, {sums[i + 1]}" for i in range(0, lanes, 2)]
    limits = shape.low, shape.high
    scaled = [
        line
        for i in range(0, lanes, 2)
        for line in results(sums[i : i + 2], multipliers[i : i + 2], True, limits, shape.left)
    ]
    stores = [f"strb {sums[i]}, [r10, #{i}]" for i in range(1, stored)]
    last = f"strb r2, [r10], #{stored}"
    load = "ldm sp, {r0, r10, r11, r12, lr}"
    return [start, *_products(shape, lanes), *decoded, scales, load, *scaled, *stores, last]


def _products(shape: VectorShape, lanes: int) -> Code:
    """All factors of a few channels."""
    eights, rest = divmod(shape.factors, 8)
    step = tuple(_eight(lanes))
    code: list[str | Repeat | Copies] = []
    if eights <= _MOST_UNROLLED:
        code += [Copies(eights, step)] * (eights > 0)
    else:
        chunk = next((n for n in (5, 4, 3) if eights % n == 0), 4)
        count, more = divmod(eights, chunk)
        turn = ("ldr r10, [sp, #20]", "cmp r0, r10", "bne 2b")
        code += [*add("r12", "r0", 8 * chunk * count, "r12"), "str r12, [sp, #20]"]
        code += [Repeat(2, count, (Copies(chunk, step), *turn))]
        code += [Copies(more, step)] * (more > 0)
    if rest >= 4:
        code += ["ldr r10, [r0], #4", *_widen("r10", "r11"), *_half(lanes, "r10", "r11")]
    if rest % 4:
        code += [f"ldrsb {r}, [r0, #{i}]" for i, r in enumerate(("r10", "r11", "r12")[: rest % 4])]
        code += ["pkhbt r10, r10, r12, lsl #16"] * (rest % 4 == 3)
        code += _half(lanes, "r10", "r11")
    return code


def _eight(lanes: int) -> list[str]:
    """Eight factors."""
    widened = _widen("r10", "r11") + _widen("r12", "lr")
    return ["ldrd r10, r12, [r0], #8", *widened, *_half(lanes, "r10", "r11"),
            *_half(lanes, "r12", "lr")]  # fmt: skip


def _widen(low: str, high: str) -> list[str]:
    return [f"sxtb16 {high}, {low}, ror #8", f"sxtb16 {low}, {low}"]


def _half(lanes: int, first: str, second: str) -> list[str]:
    """Four factors: whole words first, then their low bytes in the same registers."""
    words = ["r6", "r7", "r8", "r9"][:lanes]
    load = "ldm r1!, {r6-r9}" if lanes == 4 else "ldrd r6, r7, [r1], #8"
    spread = [f"sxtb16 {word}, {word}" for word in words]
    products = [
        [
            f"smlad {total}, {factor}, {word}, {total}"
            for pair in range(lanes // 2)
            for total in [f"r{2 + 2 * pair + low}"]
            for factor, word in zip((first, second), words[2 * pair : 2 * pair + 2], strict=True)
        ]
        for low in (0, 1)
    ]
    return [load, *products[0], *spread, *products[1]]
