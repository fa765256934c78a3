"""Means of images and average pooling: windows of whole pixels, four channels at a time.

SXTAB16 widens two bytes of a word and adds them to two sums of 16 bits, which hold up to 255 bytes;
then they are added to sums of 32 bits. A result is clamp(z + mulh(sum (x - z_x), m)), as a layer
with weights of 1 whose bias is minus the zero points.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..microcontrollers import Microcontroller
from .assembly import assembly_kernel
from .instructions import Repeat, add, executed
from .layer import Array, Layer, MicroKernel, NodeArguments, lowers_layer
from .multipliers import HighProducts
from .products import HIGH_PRODUCT
from .requantizing import REQUANTIZE_HIGH
from .statements import Index, Pointer, call, function, loop

_CHANNELS = 4  # in a word
_MOST_PIXELS = 255  # that 16 bits hold the sum of
_MOST_UNROLLED = 8
_FAREST = 4095
_CALL = 12  # instructions around a call


@lowers_layer("penjing.mean_int8")
def mean(node: NodeArguments, core: Microcontroller) -> list[Layer]:
    """Of whole images."""
    (x,), axes = node.inputs, node.values["dim"]
    if len(x.shape) != 4 or x.shape[0] != 1 or sorted(axes) != [1, 2]:
        return []
    return _layers(node, core, x.shape[1:3], (1, 1))


@lowers_layer("penjing.avg_pool_int8")
def average_pool(node: NodeArguments, core: Microcontroller) -> list[Layer]:
    """Without padding."""
    (x,), values = node.inputs, node.values
    kernel, stride = values["kernel_size"], values["stride"] or values["kernel_size"]
    if len(x.shape) != 4 or x.shape[0] != 1 or any(values["padding"]):
        return []
    return _layers(node, core, _both(kernel), _both(stride))


def _both(sizes: list[int]) -> tuple[int, int]:
    return sizes[0], sizes[-1]


def _layers(
    node: NodeArguments,
    core: Microcontroller,
    kernel: tuple[int, ...],
    stride: tuple[int, int],
) -> list[Layer]:
    columns, channels = node.inputs[0].shape[2:]
    values, pixels = node.values, prod(kernel)
    products = HighProducts.of(
        np.ones((1, pixels), np.int8),
        np.array([-pixels * values["input_zero_point"]]),
        np.array([values["multiplier"]]),
        values["shift"],
        most_weight=2**15,
    )
    if products is None or channels % _CHANNELS:
        return []
    down, right = kernel
    if right == columns:  # rows that follow each other: in parts that 16 bits hold the sum of
        right = max(part for part in range(1, _MOST_PIXELS + 1) if pixels % part == 0)
        down = pixels // right
    if right > _MOST_PIXELS or channels > _FAREST:
        return []
    shape = _Window(
        down,
        right,
        channels,
        (columns - kernel[1]) * channels,
        int(products.weight[0, 0]).bit_length() - 1,
        values["low"],
        values["high"],
    )
    return [_layer(node, core, shape, _words(products, values["zero_point"]), stride)]


def _words(products: HighProducts, zero_point: int) -> Array:
    bias = products.bias[0] // products.weight[0, 0]  # sums are doubled with their bias
    return np.array([bias, products.multiplier[0], zero_point], np.int32)


def _layer(
    node: NodeArguments,
    core: Microcontroller,
    shape: "_Window",
    constants: Array,
    stride: tuple[int, int],
) -> Layer:
    x, words, y = Pointer("x", "int8"), Pointer("constants", "int32"), Pointer("y", "int8")
    columns, channels = node.inputs[0].shape[2:]
    results = (1, 1) if node.op.endswith("mean_int8") else node.output.shape[1:3]
    kernel, steps = shape.kernel(), prod(results)

    def window(row: Index, column: Index) -> Any:
        place = (row * stride[0] * columns + column * stride[1]) * channels
        result = y.at((row * results[1] + column) * channels)
        return call(kernel.name, x.at(place), words.at(), result)

    cost = steps * (executed(shape.code()) + _CALL)
    body = loop("row", results[0], lambda r: loop("column", results[1], lambda c: window(r, c)))
    return Layer(
        function([x, words, y], [body]),
        (constants,),
        (HIGH_PRODUCT, REQUANTIZE_HIGH, kernel),
        leads=(channels,),  # all of a window is read before the next pixel's results are written
        cost=cost if core.has_dsp else 3 * cost,
        variant=f"{_CHANNELS} channels at a time",
    )


@dataclass(frozen=True)
class _Window:
    """What a micro-kernel averages: rows of pixels, and how results follow from sums.

    Args:
        rows: Of the window.
        columns: Of the window, at most 255.
        channels: All of them.
        skipped: Bytes from the end of a row to the next.
        doublings: Of the sum before it is multiplied.
        low: The least result.
        high: The greatest one.
    """

    rows: int
    columns: int
    channels: int
    skipped: int
    doublings: int
    low: int
    high: int

    @property
    def unrolled(self) -> int:
        """Pixels in a step of the loop."""
        most = min(_MOST_UNROLLED, _FAREST // self.channels, self.columns)
        return max(n for n in range(1, max(most, 1) + 1) if self.columns % n == 0)

    def kernel(self) -> MicroKernel:
        """void name(x, constants, y): all channels of a window."""
        sizes = (self.rows, self.columns, self.channels, self.skipped, self.doublings)
        whole = (self.low, self.high) == (-128, 127)
        name = "average_" + "_".join(map(str, sizes if whole else (*sizes, self.low, self.high)))
        return assembly_kernel(
            name.replace("-", "m"),
            f"Means of {self.rows * self.columns} pixels.",
            ("const int8_t *x", "const int32_t *constants", "int8_t *y"),
            self.code(),
            self._portable(),
        )

    def code(self) -> list[str | Repeat]:
        """The instructions.

        Registers: r3 pixels to go, r4 and r5 sums of 16 bits, r6 a word, r7 to r10 sums of 32
        bits, r11 the pixel, r12 rows to go; groups of channels to go are on the stack.
        """
        groups = self.channels // _CHANNELS
        row: list[str | Repeat] = ["mov r4, #0", "mov r5, #0"]
        pixels = []
        for i in range(self.unrolled):
            pixels += [f"ldr r6, [r11, #{i * self.channels}]", "sxtab16 r4, r4, r6"]
            pixels.append("sxtab16 r5, r5, r6, ror #8")
        pixels += add("r11", "r11", self.unrolled * self.channels, "r6")
        steps = self.columns // self.unrolled
        row += [f"mov r3, #{steps}", Repeat(3, steps, (*pixels, "subs r3, #1", "bne 3b"))]
        row += ["sxtah r7, r7, r4", "add r9, r9, r4, asr #16"]
        row += ["sxtah r8, r8, r5", "add r10, r10, r5, asr #16"]
        row += add("r11", "r11", self.skipped, "r6")
        group: list[str | Repeat] = ["mov r11, r0", "add r0, r0, #4", "ldr r7, [r1]"]
        group += [f"mov r{i}, r7" for i in (8, 9, 10)]
        group += [f"movw r12, #{self.rows}"]
        group += [Repeat(2, self.rows, (*row, "subs r12, #1", "bne 2b"))]
        group += ["ldrd r3, r6, [r1, #4]"]
        for i in range(_CHANNELS):
            group += self._result(f"r{7 + i}", i)
        group += ["add r2, r2, #4", "ldr r3, [sp]", "subs r3, #1", "str r3, [sp]", "bne 1b"]
        start = ["push {r4-r11, lr}", f"movw r3, #{groups}", "push {r3}"]
        return [*start, Repeat(1, groups, tuple(group)), "add sp, sp, #4", "pop {r4-r11, lr}"]

    def _result(self, name: str, index: int) -> list[str]:
        doubled = [f"lsl {name}, {name}, #{self.doublings}"] * (self.doublings > 0)
        lines = [*doubled, f"smmlar {name}, {name}, r3, r6", f"ssat {name}, #8, {name}"]
        if self.low > -128:
            lines += [f"cmp {name}, #{self.low}", "it lt", f"movlt {name}, #{self.low}"]
        if self.high < 127:
            lines += [f"cmp {name}, #{self.high}", "it gt", f"movgt {name}, #{self.high}"]
        return [*lines, f"strb {name}, [r2, #{index}]"]

    def _portable(self) -> str:
        row = self.columns * self.channels + self.skipped
        return f"""\
for (int32_t channel = 0; channel < {self.channels}; ++channel) {{
    const int8_t *pixel = x + channel;
    int32_t sum = constants[0];
    for (int32_t i = 0; i < {self.rows}; ++i, pixel += {row})
        for (int32_t j = 0; j < {self.columns}; ++j)
            sum += pixel[j * {self.channels}];
    sum *= {1 << self.doublings};
    y[channel] = requantize_high(sum, constants[1], constants[2], {self.low}, {self.high});
}}
"""
