"""Depthwise convolutions on cores with vectors: eight channels of a pixel at a time.

Bytes are widened to 16 bits as they are loaded; VMULLB and VMULLT multiply the even and the odd
channels to 32 bits. Taps beyond the image read a row of border in scratch memory instead.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..microcontrollers import Microcontroller
from .dense_image import DenseImage
from .layer import Array, Layer, MicroKernel, NodeArguments, lowers_layer
from .mve_dense import lead_of_pixels
from .mve_text import FILL_BYTES, requantized, vector_kernel
from .products import MULTIPLY_HIGH
from .requantizing import REQUANTIZE_SHIFTED
from .statements import Pointer, block, call, function, loop

_LANES = 8  # int16 in a vector
_MOST_TAPS = 32


@lowers_layer("penjing.conv_int8")
def depthwise(node: NodeArguments, core: Microcontroller) -> list[Layer]:
    """A multiple of eight channels, one result for each."""
    if not core.has_mve or "weight" not in node.constants:
        return []
    image = DenseImage.of_convolution(node)
    if image is None or image.channels % _LANES or not 1 < image.groups == image.channels:
        return []
    taps = image.kernel[0] * image.kernel[1]
    if image.results != image.channels or taps > _MOST_TAPS:
        return []
    return [_Pixels(image, node.values["shift"]).layer(node)]


@dataclass(frozen=True)
class _Pixels:
    """A layer that computes one pixel of results after the other."""

    image: DenseImage
    shift: int

    @property
    def taps(self) -> int:
        """Of the kernel."""
        return self.image.kernel[0] * self.image.kernel[1]

    @property
    def cost(self) -> float:
        """Instructions, about."""
        rows, columns = self.image.result_size
        blocks = self.image.channels // _LANES
        return rows * columns * (14 * self.taps + 28 + blocks * (9 * self.taps + 29))

    def layer(self, node: NodeArguments) -> Layer:
        """The layer as a function."""
        image, kernel = self.image, self._kernel()
        x, w = Pointer("x", "int8"), Pointer("w", "int8")
        channels, y = Pointer("channels", "int32"), Pointer("y", "int8")
        border = Pointer("border", "int8")
        rows, columns = image.result_size

        def pixel(row: Any, column: Any) -> Any:
            place = (row * columns + column) * image.results
            top = row * image.stride[0] - image.padding[0]
            left = column * image.stride[1] - image.padding[1]
            constants = (w.at(), channels.at(), border.at())
            return call(kernel.name, x.at(), *constants, y.at(place), top, left)

        body = loop("row", rows, lambda r: loop("column", columns, lambda c: pixel(r, c)))
        fill = call(FILL_BYTES.name, border.at(), image.input_zero_point, image.channels)
        # other channels of a pixel are read after the first are written
        return Layer(
            function([x, w, channels, y, border], [block([fill, body])]),
            (self._weights(node.constants["weight"]), self._channels(node)),
            (FILL_BYTES, MULTIPLY_HIGH, REQUANTIZE_SHIFTED, kernel),
            scratch_bytes=image.channels,
            leads=(lead_of_pixels(image, reads_before_writing=False),),
            cost=self.cost,
            variant="vectors of eight channels",
        )

    def _weights(self, weight: Array) -> Array:
        """Blocks of eight channels: for each tap the eight weights."""
        blocks = weight.reshape(-1, _LANES, self.taps)
        return np.ascontiguousarray(blocks.transpose(0, 2, 1))

    def _channels(self, node: NodeArguments) -> Array:
        """For each block biases of even, then odd channels, and multipliers likewise."""
        rows = [node.constants[name].reshape(-1, _LANES // 2, 2) for name in ("bias", "multiplier")]
        halves = [half for row in rows for half in (row[:, :, 0], row[:, :, 1])]
        return np.ascontiguousarray(np.stack(halves, axis=1).astype(np.int32))

    def _kernel(self) -> MicroKernel:
        """void name(x, w, channels, border, y, top, left): a pixel."""
        image = self.image
        limits = (image.zero_point, image.low, image.high)
        sizes = (*image.size, image.channels, *image.kernel, *image.dilation, self.shift, *limits)
        name = f"depthwise_vectors_{'_'.join(map(str, sizes))}".replace("-", "m")
        signature = (
            f"void {name}(const int8_t *x, const int8_t *w, const int32_t *channels,\n"
            "    const int8_t *border, int8_t *y, int32_t top, int32_t left)"
        )
        find = f"""\
const int8_t *taps[{self.taps}];
for (int32_t i = 0; i < {image.kernel[0]}; ++i) {{
    const int32_t row = top + i * {image.dilation[0]};
    for (int32_t j = 0; j < {image.kernel[1]}; ++j) {{
        const int32_t column = left + j * {image.dilation[1]};
        const int inside = row >= 0 && row < {image.size[0]} && column >= 0
                           && column < {image.size[1]};
        const int32_t place = (row * {image.size[1]} + column) * {image.channels};
        taps[i * {image.kernel[1]} + j] = inside ? x + place : border;
    }}
}}
"""
        return vector_kernel(
            name,
            f"A pixel of {image.channels} channels, each the sum of {self.taps} products.",
            signature,
            vectors=find + self._vectors(limits),
            portable=find + self._portable(limits),
        )

    def _vectors(self, limits: tuple[int, int, int]) -> str:
        results = requantized(self.shift, *limits)
        odd = results.replace("sum", "odd").replace("scale", "scale_of_odd")
        lines = [
            f"for (int32_t c = 0; c < {self.image.channels}; c += 8, w += {8 * self.taps},"
            " channels += 16) {",
            "    int32x4_t sum = vldrwq_s32(channels), odd = vldrwq_s32(channels + 4);",
            f"    for (int32_t tap = 0; tap < {self.taps}; ++tap) {{",
            "        const int16x8_t pixel = vldrbq_s16(taps[tap] + c);",
            "        const int16x8_t weight = vldrbq_s16(w + 8 * tap);",
            "        sum = vaddq_s32(sum, vmullbq_int_s16(pixel, weight));",
            "        odd = vaddq_s32(odd, vmulltq_int_s16(pixel, weight));",
            "    }",
            "    const int32x4_t scale = vldrwq_s32(channels + 8);",
            "    const int32x4_t scale_of_odd = vldrwq_s32(channels + 12);",
            *(f"    {line}" for line in (*results.splitlines(), *odd.splitlines())),
            "    int16x8_t both = vmovntq_s32(vreinterpretq_s16_s32(sum), odd);",
            "    vstrbq_s16(y + c, both);",
            "}",
        ]
        return "\n".join(lines)

    def _portable(self, limits: tuple[int, int, int]) -> str:
        zero_point, low, high = limits
        return f"""\
for (int32_t c = 0; c < {self.image.channels}; ++c) {{
    const int32_t *constants = channels + c / 8 * 16 + c % 2 * 4 + c % 8 / 2;
    int32_t sum = constants[0];
    for (int32_t tap = 0; tap < {self.taps}; ++tap)
        sum += taps[tap][c] * w[(c / 8 * {self.taps} + tap) * 8 + c % 8];
    y[c] = requantize_shifted(sum, constants[8], {self.shift}, {zero_point}, {low}, {high});
}}
"""
