"""Depthwise convolutions: planes of four channels, summed a channel at a time.

For each four channels the layer widens rows of the image (depthwise_planes.py) and sums windows
(depthwise_sums.py for 3x3, depthwise_taps.py), a stripe of rows of results after the other; the
last rows of planes serve the next stripe too. When results are written, the same four channels of
all the pixels up to there have been read: the result may take the place of the input.
"""

from dataclasses import dataclass, replace
from typing import Any

from ..microcontrollers import Microcontroller
from .depthwise_image import DepthwiseImage
from .depthwise_planes import (
    CHANNELS,
    border_kernel,
    few_planes_kernel,
    move_kernel,
    planes_kernel,
)
from .layer import Layer, NodeArguments, lowers_layer
from .multipliers import HighProducts
from .products import HIGH_PRODUCT, MULTIPLY_HIGH
from .requantizing import REQUANTIZE_HIGH, REQUANTIZE_SHIFTED
from .statements import Index, Pointer, block, call, function, loop

_MOST_WEIGHT = 2**15 - 1
_PORTABLE = 5.0  # instructions without the DSP extension, over those with it
_CALL = 12  # instructions around a call


@lowers_layer("penjing.conv_int8")
def depthwise(node: NodeArguments, core: Microcontroller) -> list[Layer]:
    """Stripes of all rows and of fewer, for strides of 1 or 2 and one image."""
    if "weight" not in node.constants:
        return []
    image = DepthwiseImage.of(node)
    if image is None:
        return []
    weight, bias, multiplier = (node.constants[n] for n in ("weight", "bias", "multiplier"))
    shift = node.values["shift"]
    products = HighProducts.of(weight, bias, multiplier, shift, most_weight=_MOST_WEIGHT)
    if products is None:
        image = replace(image, shift=shift)
        products = HighProducts(weight, bias, multiplier)
    lengths = {image.result_rows, *(rows for rows in (8, 4, 3, 2, 1) if rows < image.result_rows)}
    stripes = [_Stripes(image, rows) for rows in sorted(lengths, reverse=True)]
    layers = [stripe.layer(products) for stripe in stripes if stripe.is_possible]
    if core.has_dsp:
        return layers
    return [replace(layer, cost=_PORTABLE * layer.cost) for layer in layers]


@dataclass(frozen=True)
class _Stripes:
    """A layer that keeps the planes for `together` rows of results."""

    image: DepthwiseImage
    together: int

    @property
    def is_possible(self) -> bool:
        """Whether the image has the rows to start with, and only the last stripe reads below it."""
        start = self._kept - self.image.above
        reads_enough = self._rows_left * self.image.stride >= self._below
        return 0 <= start <= self.image.rows and reads_enough

    @property
    def _kept(self) -> int:
        """Rows of planes that the next stripe reads too."""
        return self.image.kernel[0] - self.image.stride

    @property
    def _count(self) -> int:
        return -(-self.image.result_rows // self.together)

    @property
    def _rows_left(self) -> int:
        """Rows of results in the last stripe."""
        return self.image.result_rows - (self._count - 1) * self.together

    @property
    def _below(self) -> int:
        """Rows of border that the last stripe reads."""
        image = self.image
        return (image.result_rows - 1) * image.stride + image.kernel[0] - image.above - image.rows

    @property
    def scratch_bytes(self) -> int:
        """Of the planes."""
        rows = self.together * self.image.stride + self._kept
        return rows * self.image.planes.row_bytes  # words times 16

    @property
    def cost(self) -> float:
        """Instructions, about."""
        image, groups = self.image, -(-self.image.channels // CHANNELS)
        row_bytes = image.planes.row_bytes
        widened = image.planes.instructions(image.rows) + self._count * _CALL
        moved = (self._count - 1) * self._kept * (4 * row_bytes / 16 + 10)
        border = 3 * (image.above + 1) * row_bytes / 16 + 10
        results = image.channels * image.each
        lengths = [self.together] * (self._count - 1) + [self._rows_left]
        sums = sum(image.sums.instructions(rows) + _CALL for rows in lengths)
        return groups * (widened + moved + border) + results * sums

    @property
    def _lead(self) -> int:
        """How far results of a stripe reach beyond what is read until then."""
        image, start = self.image, self._kept - self.image.above
        pixels = [
            stripe * self.together * image.result_columns
            - (start + stripe * self.together * image.stride) * image.columns
            for stripe in range(1, self._count)
        ]
        return image.channels * max(0, *pixels, 0)

    def layer(self, products: HighProducts) -> Layer:
        """The layer as a function."""
        image = self.image
        rest = [few_planes_kernel(image.planes)] * (image.channels % CHANNELS > 0)
        whole = [planes_kernel(image.planes)] * (image.channels >= CHANNELS)
        moves = [move_kernel()] * (self._count > 1 and self._kept > 0)
        borders = [border_kernel()] * (image.above > 0 or self._below > 0)
        high, shifted = (HIGH_PRODUCT, REQUANTIZE_HIGH), (MULTIPLY_HIGH, REQUANTIZE_SHIFTED)
        result = high if image.shift is None else shifted
        kernels = [*result, *borders, *whole, *rest, *moves, image.sums_kernel]
        x, y, records = Pointer("x", "int8"), Pointer("y", "int8"), Pointer("channels", "int32")
        scratch = Pointer("planes", "int16")
        whole_groups, few = divmod(image.channels, CHANNELS)
        parts = _Pointers(x, records, y, scratch)
        groups = [
            loop("group", whole_groups, lambda g: self._group(parts, g * CHANNELS, CHANNELS))
        ] * (whole_groups > 0)
        groups += [self._group(parts, whole_groups * CHANNELS, few)] * (few > 0)
        one = image.each == 1
        return Layer(
            function([x, records, y, scratch], groups),
            (image.records(products),),
            tuple(kernels),
            scratch_bytes=self.scratch_bytes,
            leads=(self._lead,) if one else (None,),
            lead_unit=image.channels if one else 1,
            cost=self.cost,
            variant=f"{self.together} rows of {CHANNELS} channels",
        )

    def _group(self, parts: "_Pointers", first: Index, channels: int) -> Any:
        """All rows of a few channels; `taken` counts rows of the image that are widened."""
        image, kept = self.image, self._kept
        taken = kept - image.above
        step = self.together * image.stride
        statements = [self._fill(parts, 0, image.above)] * (image.above > 0)
        statements += [self._widen(parts, first, channels, 0, image.above, taken)] * (taken > 0)
        last = self._count - 1

        def whole(stripe: Index) -> Any:
            row, taking = stripe * self.together, stripe * step + taken
            widen = self._widen(parts, first, channels, taking, kept, step)
            results = self._sum(parts, first, channels, row, self.together)
            return block([widen, results, *[self._move(parts, step)] * (kept > 0)])

        statements += [loop("stripe", last, whole)] * (last > 0)
        rows, below = self._rows_left, max(self._below, 0)
        real = rows * image.stride - below
        widened = self._widen(parts, first, channels, last * step + taken, kept, real)
        statements += [widened] * (real > 0)
        statements += [self._fill(parts, kept + real, below)] * (below > 0)
        statements.append(self._sum(parts, first, channels, last * self.together, rows))
        return block(statements)

    def _fill(self, parts: "_Pointers", row: int, rows: int) -> Any:
        row_bytes = self.image.planes.row_bytes
        at = parts.planes.at(row * row_bytes // 2)
        return call("fill_rows", at, self.image.border, rows * row_bytes)

    def _move(self, parts: "_Pointers", first: int) -> Any:
        """The last rows of planes to the front."""
        row_bytes = self.image.planes.row_bytes

        def move(row: Index) -> Any:
            to = parts.planes.at(row * (row_bytes // 2))
            return call(
                "move_row", to, parts.planes.at((row + first) * (row_bytes // 2)), row_bytes
            )

        return loop("row", self._kept, move)

    def _widen(
        self, parts: "_Pointers", first: Index, channels: int, row: Index, to: int, rows: int
    ) -> Any:
        image, shape = self.image, self.image.planes
        x = parts.x.at(row * (image.columns * image.channels) + first)
        planes = parts.planes.at(to * shape.row_bytes // 2)
        if channels == CHANNELS:
            return call(shape.name, x, planes, rows, image.border)
        return call(f"{shape.name}_few", x, planes, rows, image.border, channels)

    def _sum(self, parts: "_Pointers", first: Index, channels: int, row: Index, rows: int) -> Any:
        image, shape = self.image, self.image.sums

        def one(channel: Index) -> Any:
            plane = parts.planes.at(channel * (2 * image.planes.words))

            def result(which: Index) -> Any:
                output = (first + channel) * image.each + which
                place = row * (image.result_columns * shape.pixel_bytes) + output
                record = parts.records.at(output * shape.record_words)
                return call(shape.name, plane, record, parts.y.at(place), rows)

            return loop("which", image.each, result)

        return loop("channel", channels, one)


@dataclass(frozen=True)
class _Pointers:
    """The parameters of the function."""

    x: Pointer
    records: Pointer
    y: Pointer
    planes: Pointer
