"""Convolutions and linear layers on cores with vectors: VMLADAVA multiplies and adds 16 bytes.

A pixel's window is one row of bytes: pixels of the image where the kernel is 1x1 and they fill
vectors, else a copy in scratch memory, with the border in it. Four results share its loads: 9
instructions for 64 products. They are then requantized together (VQRDMULH is `mulh`).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ..microcontrollers import Microcontroller
from .dense_image import DenseImage
from .layer import Array, Layer, MicroKernel, NodeArguments, lowers_layer
from .mve_text import COPY_BYTES, FILL_BYTES, LANES, WORDS, vector_kernel
from .products import MULTIPLY_HIGH
from .requantizing import REQUANTIZE_SHIFTED
from .statements import Index, Pointer, block, call, function, loop


@lowers_layer("penjing.conv_int8")
def convolution(node: NodeArguments, core: Microcontroller) -> list[Layer]:
    """Any kernel, stride, padding and dilation, without groups."""
    if not core.has_mve or "weight" not in node.constants:
        return []
    image = DenseImage.of_convolution(node)
    if image is None or image.groups != 1:
        return []
    return _ways(node, image)


@lowers_layer("penjing.linear_int8")
def linear(node: NodeArguments, core: Microcontroller) -> list[Layer]:
    """Rows of a matrix are pixels of a convolution of 1x1."""
    if not core.has_mve or "weight" not in node.constants:
        return []
    return _ways(node, DenseImage.of_rows(node))


def _ways(node: NodeArguments, image: DenseImage) -> list[Layer]:
    """From the image itself where that is possible, and through a copy of the window."""
    ways = [_Pixels(image, node.values["shift"], copies=True)]
    if image.kernel == (1, 1) and image.padding == (0, 0) and image.channels % LANES == 0:
        ways.append(_Pixels(image, node.values["shift"], copies=False))
    return [way.layer(node) for way in ways]


@dataclass(frozen=True)
class _Pixels:
    """A layer that computes one pixel of results after the other."""

    image: DenseImage
    shift: int
    copies: bool

    @property
    def factors(self) -> int:
        """Bytes of a window."""
        return prod(self.image.kernel) * self.image.channels

    @property
    def vectors(self) -> int:
        """Of a window."""
        return -(-self.factors // LANES)

    @property
    def blocks(self) -> int:
        """Of four results."""
        return -(-self.image.results // WORDS)

    @property
    def cost(self) -> float:
        """Instructions, about."""
        sums = self.blocks * (19 if self.vectors == 1 else 10 * self.vectors + 15)
        down = self.image.kernel[0]
        segments = down * (7 * -(-self.factors // down // LANES) + 16)
        return prod(self.image.result_size) * (sums + self.copies * segments + 15)

    def layer(self, node: NodeArguments) -> Layer:
        """The layer as a function."""
        x, w = Pointer("x", "int8"), Pointer("w", "int8")
        channels, y = Pointer("channels", "int32"), Pointer("y", "int8")
        window = Pointer("window", "int8")
        image, sums = self.image, self._sums_kernel()
        kernels = [MULTIPLY_HIGH, REQUANTIZE_SHIFTED, sums]
        if self.copies:
            kernels = [COPY_BYTES, FILL_BYTES, self._window_kernel(), *kernels]

        def pixel(row: Index, column: Index) -> Any:
            place = (row * image.result_size[1] + column) * image.results
            top = row * image.stride[0] - image.padding[0]
            left = column * image.stride[1] - image.padding[1]
            if not self.copies:
                source = x.at((top * image.size[1] + left) * image.channels)
                return call(sums.name, source, w.at(), channels.at(), y.at(place))
            return block(
                [
                    call(self._window_name, x.at(), window.at(), top, left),
                    call(sums.name, window.at(), w.at(), channels.at(), y.at(place)),
                ]
            )

        rows, columns = image.result_size
        body = loop("row", rows, lambda r: loop("column", columns, lambda c: pixel(r, c)))
        scratch = [window] * self.copies
        return Layer(
            function([x, w, channels, y, *scratch], [body]),
            (self._weights(node.constants["weight"]), self._channels(node)),
            tuple(kernels),
            scratch_bytes=self.vectors * LANES if self.copies else 0,
            leads=(lead_of_pixels(image, reads_before_writing=self.copies),),
            cost=self.cost,
            variant="vectors of " + ("copied windows" if self.copies else "the image"),
        )

    def _weights(self, weight: Array) -> Array:
        """Blocks of four results: for each vector of the window, one of each result."""
        image = self.image
        taps = weight.reshape(image.results, image.channels, *image.kernel).transpose(0, 2, 3, 1)
        padded = np.zeros((self.blocks * WORDS, self.vectors * LANES), np.int8)
        padded[: image.results, : self.factors] = taps.reshape(image.results, -1)
        blocks = padded.reshape(self.blocks, WORDS, self.vectors, LANES)
        return np.ascontiguousarray(blocks.transpose(0, 2, 1, 3))

    def _channels(self, node: NodeArguments) -> Array:
        """For each block four biases and four multipliers."""
        both = np.zeros((2, self.blocks * WORDS), np.int32)
        both[0, : self.image.results] = node.constants["bias"]
        both[1, : self.image.results] = node.constants["multiplier"]
        return np.ascontiguousarray(both.reshape(2, self.blocks, WORDS).transpose(1, 0, 2))

    def _sums_kernel(self) -> MicroKernel:
        """void name(window, w, channels, y): all results of a pixel."""
        image = self.image
        limits = (image.zero_point, image.low, image.high)
        sizes = (self.vectors, image.results, self.shift, *limits)
        name = f"sum_vectors_{'_'.join(map(str, sizes))}".replace("-", "m")
        signature = (
            f"void {name}(const int8_t *window, const int8_t *w, const int32_t *channels,"
            " int8_t *y)"
        )
        comment = f"{image.results} sums of {self.vectors * LANES} products."
        vectors = _blocks(self.vectors, image.results, self.shift, limits)
        portable = f"""
            for (int32_t o = 0; o < {image.results}; ++o) {{
                const int8_t *row = w + (o / 4) * {self.vectors * WORDS * LANES} + o % 4 * 16;
                const int32_t *constants = channels + o / 4 * 8 + o % 4;
                int32_t sum = constants[0];
                for (int32_t k = 0; k < {self.factors}; ++k)
                    sum += window[k] * row[k / 16 * 64 + k % 16];
                y[o] = requantize_shifted(sum, constants[4], {self.shift}, {limits[0]},
                                          {limits[1]}, {limits[2]});
            }}
        """
        return vector_kernel(name, comment, signature, vectors=vectors, portable=portable)

    @property
    def _window_name(self) -> str:
        image = self.image
        sizes = (*image.size, image.channels, *image.kernel, *image.dilation)
        border = str(image.input_zero_point).replace("-", "m")
        return f"window_{'_'.join(map(str, sizes))}_{border}"

    def _window_kernel(self) -> MicroKernel:
        """void name(x, window, top, left): the pixels under a kernel, and the border, in a row."""
        image = self.image
        down, right = image.kernel
        row_bytes = right * image.channels
        body = f"""
            for (int32_t i = 0; i < {down}; ++i, window += {row_bytes}) {{
                const int32_t row = top + i * {image.dilation[0]};
                if (row < 0 || row >= {image.size[0]}) {{
                    fill_bytes(window, {image.input_zero_point}, {row_bytes});
                    continue;
                }}
                const int8_t *from = x + row * {image.size[1] * image.channels};
        """
        whole = f"left >= 0 && left + {right} <= {image.size[1]}"
        if image.dilation[1] == 1:
            body += f"""
                if ({whole}) {{
                    copy_bytes(window, from + left * {image.channels}, {row_bytes});
                    continue;
                }}
            """
        body += f"""
                for (int32_t j = 0; j < {right}; ++j) {{
                    const int32_t column = left + j * {image.dilation[1]};
                    int8_t *pixel = window + j * {image.channels};
                    if (column < 0 || column >= {image.size[1]})
                        fill_bytes(pixel, {image.input_zero_point}, {image.channels});
                    else
                        copy_bytes(pixel, from + column * {image.channels}, {image.channels});
                }}
            }}
        """
        name = self._window_name
        signature = f"void {name}(const int8_t *x, int8_t *window, int32_t top, int32_t left)"
        comment = f"The pixels under a kernel of {down}x{right}, one behind the other."
        text = "\n".join(line.removeprefix(" " * 12) for line in body.splitlines())
        lines = [line for line in text.splitlines() if line.strip()]
        code = "\n".join(f"    {line}" for line in lines)
        return MicroKernel(name, f"/* {comment} */\nstatic inline {signature}\n{{\n{code}\n}}\n")


def _blocks(vectors: int, results: int, shift: int, limits: tuple[int, int, int]) -> str:
    """Loops over blocks of four results, in assembly that keeps sums in even registers."""
    whole, rest = results // WORDS * WORDS, results % WORDS
    lines = [
        f"const int32x4_t {name} = vdupq_n_s32({value});"
        for name, value in zip(("zero_point", "low", "high"), limits, strict=True)
    ]
    lines += ["const int8x16_t x = vldrbq_s8(window);"] * (vectors == 1)
    block = _block(vectors, shift, ["vstrb.32 q0, [%[y]], #4"])
    if whole:
        lines += [f"for (int32_t o = 0; o < {whole}; o += 4) {{"]
        lines += [*(f"    {line}" for line in block), "}"]
    # predicates could be ones that the compiler keeps for later
    moves = [(f"vmov.32 r4, q0[{i}]", f"strb r4, [%[y], #{i}]") for i in range(rest)]
    if rest:
        lines += _block(vectors, shift, [line for pair in moves for line in pair])
    return "\n".join(lines)


def _block(vectors: int, shift: int, store: list[str]) -> list[str]:
    """Four results of a pixel; q0 the window, q1 to q3 weights, r4, r6, r8, r10 sums."""
    sums, weights = ("r4", "r6", "r8", "r10"), ("q1", "q2", "q3", "q1")
    x = "%q[x]" if vectors == 1 else "q0"
    lines = ["ldrd r4, r6, [%[channels]], #8", "ldrd r8, r10, [%[channels]], #8"]
    if vectors > 1:
        lines += ["mov r5, %[window]", f"mov lr, #{vectors}", "dls lr, lr", "1:"]
        lines.append("vldrb.8 q0, [r5], #16")
    # three loads before the first product, for the sake of cores that do both at a time
    lines += [f"vldrb.8 {name}, [%[w]], #16" for name in weights[:3]]
    lines += [f"vmladava.s8 {sums[0]}, {x}, q1", "vldrb.8 q1, [%[w]], #16"]
    lines += [
        f"vmladava.s8 {total}, {x}, {name}"
        for total, name in zip(sums[1:], weights[1:], strict=True)
    ]
    lines += ["le lr, 1b"] * (vectors > 1)
    lines += ["vmov q0[2], q0[0], r4, r8", "vmov q0[3], q0[1], r6, r10"]
    lines += ["vldrw.32 q1, [%[channels]], #16"]
    if shift:
        lines.append(f"vqshl.s32 q0, q0, #{shift}" if shift > 0 else f"vshr.s32 q0, q0, #{-shift}")
    lines += ["vqrdmulh.s32 q0, q0, q1", "vqadd.s32 q0, q0, %q[zero_point]"]
    lines += ["vmin.s32 q0, q0, %q[high]", "vmax.s32 q0, q0, %q[low]", *store]
    given = ['[window] "r"(window)'] if vectors > 1 else ['[x] "w"(x)']
    given += [f'[{name}] "w"({name})' for name in ("zero_point", "low", "high")]
    changed = [f'[{name}] "+r"({name})' for name in ("w", "channels")]
    changed.append('[y] "+l"(y)')  # stores that narrow have no bits for the others
    lost = ["r4", "r5", "r6", "r8", "r10", "lr", "q0", "q1", "q2", "q3", "memory"]
    return [
        "__asm__ volatile(",
        *(f'    "{line}\\n\\t"' for line in lines),
        f"    : {', '.join(changed)}",
        f"    : {', '.join(given)}",
        "    : " + ", ".join(f'"{name}"' for name in lost) + ");",
    ]


def lead_of_pixels(image: DenseImage, *, reads_before_writing: bool) -> int:
    """The lead of a layer that computes pixel after pixel.

    Args:
        image: The sizes of the layer.
        reads_before_writing: Whether a pixel's window is read before its results are written.
    """
    return max(end - first for end, first in _steps(image, reads_before_writing))


def _steps(image: DenseImage, reads_before_writing: bool) -> Iterator[tuple[int, int]]:
    """For each pixel: where its results end, and the first byte that is read afterwards."""
    rows, columns = image.result_size
    width, channels = image.size[1], image.channels

    def top(row: int) -> int:
        return max(row * image.stride[0] - image.padding[0], 0) * width

    for row in range(rows):
        for column in range(columns):
            end = (row * columns + column + 1) * image.results
            right = column + reads_before_writing
            reads = []
            if right < columns:
                reads.append(top(row) + max(right * image.stride[1] - image.padding[1], 0))
            if row + 1 < rows:
                reads.append(top(row + 1))
            if reads:
                yield end, min(reads) * channels
    if rows * columns == 1:
        yield (0, 0) if reads_before_writing else (image.results, 0)
