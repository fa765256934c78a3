"""3x3 convolutions of stride 1 by tiles: fewer instructions for 3.6 times the constants.

Strips of neighboring tiles, two rows of results high, are computed one after the other: four rows
are widened and transformed, then each two channels are summed at 16 positions and transformed back.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import tirx

from . import winograd_kernels as kernels
from .dense_image import DenseImage
from .dense_packing import sum_bounds
from .dense_portable import RESULT, WORD
from .dense_rows import fill_cost, fill_kernel
from .dense_strips import ALIGNED
from .layer import Array, Layer, NodeArguments
from .products import HIGH_PRODUCT
from .statements import Index, Pointer, block, call, function, loop
from .winograd_kernels import POSITIONS, TilesShape

_FILTER = np.array([[2, 0, 0], [1, 1, 1], [1, -1, 1], [0, 0, 2]])  # 2 G
_CALL = 12  # instructions around a call


def winograd_layers(node: NodeArguments, image: DenseImage) -> list[Layer]:
    """Strips of one to three tiles; none for what is not 3x3, of stride 1 and of even sizes."""
    constants, values = node.constants, node.values
    plain = image.kernel == (3, 3) and image.stride == image.dilation == (1, 1)
    even = not any(size % 2 for size in (*image.result_size, image.results))
    if not plain or not even or image.groups > 1 or image.channels % 4 or values["shift"]:
        return []
    weight, bias = constants["weight"], constants["bias"]
    bounds = sum_bounds(weight.reshape(len(weight), -1), bias)
    if bounds.max() >= 1 << 29:  # four times the sums fit
        return []
    stream = _stream(image, weight, bias, constants["multiplier"])
    ways = [TiledLayer(image, tiles) for tiles in (3, 2, 1)]
    return [way.layer(stream) for way in ways if way.fits]


def _stream(image: DenseImage, weight: Array, bias: Array, multiplier: Array) -> Array:
    """For each two channels 16 positions of factors, fours of one and the other; then scales."""
    order = image.widening.order
    tiles = np.einsum("ik,ockl,jl->oijc", _FILTER, weight[:, order].astype(np.int64), _FILTER)
    fours = tiles.reshape(len(weight) // 2, 2, POSITIONS, -1, 4).transpose(0, 2, 3, 1, 4)
    scales = np.stack([4 * bias.astype(np.int64), multiplier.astype(np.int64)], axis=1)
    halves = np.ascontiguousarray((scales & 0xFFFFFFFF).astype("<u4")).view("<i2")
    factors = fours.reshape(len(fours), -1).astype(np.int16)
    return np.concatenate([factors, halves.reshape(len(fours), -1)], axis=1).reshape(-1)


@dataclass(frozen=True)
class TiledLayer:
    """One way to compute a layer: strips of `tiles` tiles, which divide a row."""

    image: DenseImage
    tiles: int

    @property
    def columns(self) -> int:
        """Pixels of an expanded row."""
        return 2 * self.tiles + 2

    @property
    def shape(self) -> TilesShape:
        """What the micro-kernels are made for."""
        image = self.image
        row = self.columns * image.channels
        across = image.result_size[1] * image.results
        limits = image.low, image.high
        return TilesShape(self.tiles, image.channels, row, image.results, across, *limits)

    @property
    def fits(self) -> bool:
        """Whether strips divide a row, and instructions reach everything."""
        return self.image.result_size[1] % (2 * self.tiles) == 0 and self.shape.fits

    @property
    def parts(self) -> tuple[int, int]:
        """Where, in int16, positions and sums begin in the scratch memory."""
        rows = 4 * self.shape.row
        return rows, rows + POSITIONS * self.shape.step

    @property
    def scratch_bytes(self) -> int:
        """Of expanded rows, positions and sums of two channels."""
        return 2 * self.parts[1] + POSITIONS * self.tiles * 8

    def lead(self) -> int:
        """Two rows and what the strip is wide: later strips read the row above it."""
        image = self.image
        rows, columns = image.size
        across = image.result_size[1]
        lead, needed = -rows * columns * image.channels, rows * columns * image.channels
        for top in reversed(range(0, image.result_size[0], 2)):
            for left in reversed(range(0, across, 2 * self.tiles)):
                written = ((top + 1) * across + left + 2 * self.tiles) * image.results
                lead = max(lead, written - needed)
                row = min(max(top - image.padding[0], 0), rows)
                column = max(left - image.padding[1], 0)
                needed = min(needed, (row * columns + column) * image.channels)
        return -(-lead // ALIGNED) * ALIGNED

    def cost(self) -> float:
        """Executed instructions, about."""
        image, shape = self.image, self.shape
        widened = 4 * (_CALL + 8 + image.widening.cost(self.columns))
        fill = (_CALL + fill_cost(2 * shape.row)) if self._has_border else 0
        calls = self.tiles * _CALL + image.results // 2 * 2 * _CALL
        strips = image.result_size[0] // 2 * (image.result_size[1] // (2 * self.tiles))
        return strips * (fill + widened + calls + kernels.cost(shape))

    @property
    def _has_border(self) -> bool:
        image = self.image
        return image.size != (image.result_size[0] + 2, image.result_size[1] + 2)

    def layer(self, stream: Array) -> Layer:
        """The function, its constants and what it promises."""
        image, shape = self.image, self.shape
        x, u = Pointer("x", "int8"), Pointer("u", "int16")
        y, scratch = Pointer("y", "int8"), Pointer("scratch", "int16")
        made = [kernels.inputs_kernel, kernels.products_kernel, kernels.results_kernel]
        names = [
            WORD,
            HIGH_PRODUCT,
            RESULT,
            image.widening.kernel,
            *[fill_kernel()] * self._has_border,
        ]
        micro_kernels = (*names, *(make(shape) for make in made))
        body = _Body(self, x, u, y, scratch, tuple(kernel.name for kernel in micro_kernels[-3:]))
        return Layer(
            function([x, u, y, scratch], body.statements()),
            (stream,),
            micro_kernels,
            scratch_bytes=self.scratch_bytes,
            leads=(self.lead(),),
            lead_unit=ALIGNED,
            cost=self.cost(),
            variant=f"Winograd, {self.tiles} tiles",
        )


@dataclass(frozen=True, eq=False)
class _Body:
    """The statements of a layer's function; `names` are those of its micro-kernels."""

    way: TiledLayer
    x: Pointer
    u: Pointer
    y: Pointer
    scratch: Pointer
    names: tuple[str, ...]

    def statements(self) -> list[Any]:
        way, image = self.way, self.way.image
        strips = image.result_size[1] // (2 * way.tiles)

        def across(top: Index) -> Any:
            return loop("strip", strips, lambda strip: self._strip(top, strip * (2 * way.tiles)))

        return [loop("pair", image.result_size[0] // 2, lambda pair: across(pair * 2))]

    def _strip(self, top: Index, left: Index) -> Any:
        way, image, shape = self.way, self.way.image, self.way.shape
        rows = self.scratch.at(0)
        start = []
        if way._has_border:
            start = [call("fill_pairs", rows, 2 * shape.row, image.input_zero_point)]
        widened = loop("row", 4, lambda row: self._widen(top + row - image.padding[0], row, left))
        transformed = loop(
            "tile",
            way.tiles,
            lambda tile: call(
                self.names[0],
                self.scratch.at(tile * 2 * image.channels),
                self.scratch.at(tile * image.channels + way.parts[0]),
            ),
        )
        place = (top * image.result_size[1] + left) * image.results
        return block([*start, widened, transformed, self._channels(place)])

    def _channels(self, place: Index) -> Any:
        """Two channels after the other."""
        way, image = self.way, self.way.image
        factors = 2 * POSITIONS * image.channels
        v, m = self.scratch.at(way.parts[0]), self.scratch.at(way.parts[1])

        def two(pair: Index) -> Any:
            at = pair * (factors + 8)
            y = self.y.at(place + pair * 2)
            scales = self.u.at(at + factors)
            return block(
                [
                    call(self.names[1], v, self.u.at(at), m),
                    call(self.names[2], m, scales, y, image.zero_point),
                ]
            )

        return loop("channels", image.results // 2, two)

    def _widen(self, row: Index, to: Index, left: Index) -> Any:
        """The part of a row of the image that lies under the strip."""
        way, image = self.way, self.way.image
        column = left - image.padding[1]
        begin, end = tirx.max(column, 0), tirx.min(column + way.columns, image.size[1])
        if not way._has_border:
            begin, end = column, column + way.columns
        source = self.x.at((row * image.size[1] + begin) * image.channels)
        target = self.scratch.at(to * way.shape.row + (begin - column) * image.channels)
        count = (end - begin) * image.widening.counts
        statement = call(image.widening.kernel.name, source, target, count)
        if not way._has_border:
            return statement
        return tirx.IfThenElse(tirx.And(row >= 0, row < image.size[0]), statement, None)
