"""The sizes of a depthwise convolution, what its micro-kernels are made for, and its constants."""

from dataclasses import dataclass

import numpy as np

from .depthwise_planes import PlanesShape
from .depthwise_sums import SumsShape, sums_kernel
from .depthwise_taps import MOST_COLUMNS, TapsShape, tap_records, taps_kernel
from .layer import Array, MicroKernel, NodeArguments
from .multipliers import HighProducts


@dataclass(frozen=True)
class DepthwiseImage:
    """The sizes of one depthwise layer; `each` results for each channel of the input."""

    kernel: tuple[int, int]  # rows and columns of taps, at least two columns
    rows: int
    columns: int
    channels: int
    result_rows: int
    result_columns: int
    each: int
    stride: int
    above: int  # rows of border
    before: int  # columns of border
    input_zero_point: int
    zero_point: int
    low: int
    high: int
    shift: int | None = None  # see SumsShape

    @classmethod
    def of(cls, node: NodeArguments) -> "DepthwiseImage | None":
        """The sizes, or None where the layer is another one."""
        values, weight = node.values, node.constants["weight"]
        (x,), y = node.inputs, node.output
        if len(x.shape) != 4 or weight.shape[1] != 1 or x.shape[0] != 1:
            return None
        channels, stride, padding = x.shape[3], values["stride"], values["padding"]
        if values["groups"] != channels or list(values["dilation"]) != [1, 1]:
            return None
        down, right = weight.shape[2], max(weight.shape[3], 2)
        if list(stride) not in ([1, 1], [2, 2]) or down < stride[0] or right > MOST_COLUMNS:
            return None
        image = cls(
            (down, right),
            x.shape[1],
            x.shape[2],
            channels,
            y.shape[1],
            y.shape[2],
            y.shape[3] // channels,
            stride[0],
            padding[0],
            padding[1],
            values["input_zero_point"],
            values["zero_point"],
            values["low"],
            values["high"],
        )
        return image if image.sums.fits and image.columns * channels <= 2**20 else None

    @property
    def planes(self) -> PlanesShape:
        """What widens rows: as many words as the last results in a row read."""
        read = (self.result_columns - 1) * self.stride + self.kernel[1]
        if self.is_three and self.stride == 1:
            read += self.result_columns % 2  # the last result alone reads four columns
        if self.is_three and self.stride == 2:
            read += 1
        words = -(-max(read, self.before + self.columns) // 2)
        return PlanesShape(self.columns, self.before, words, self.channels)

    @property
    def is_three(self) -> bool:
        """Whether registers hold all taps."""
        return self.kernel == (3, 3)

    @property
    def sums(self) -> SumsShape | TapsShape:
        """What sums windows."""
        sizes = (self.result_columns, self.stride, self.planes.row_bytes)
        limits = (self.low, self.high)
        pixel_bytes = self.channels * self.each
        if self.is_three:
            return SumsShape(*sizes, pixel_bytes, *limits, self.shift)
        return TapsShape(self.kernel, *sizes, pixel_bytes, *limits, self.shift)

    @property
    def sums_kernel(self) -> MicroKernel:
        """The micro-kernel that does."""
        shape = self.sums
        return taps_kernel(shape) if isinstance(shape, TapsShape) else sums_kernel(shape)

    def records(self, products: HighProducts) -> Array:
        """The constants of each channel."""
        shape = self.sums
        if isinstance(shape, TapsShape):
            return tap_records(shape, products, self.zero_point)
        return _records(products, self.zero_point)

    @property
    def border(self) -> int:
        """A word of border."""
        both = (self.input_zero_point & 0xFFFF) * 0x10001
        return both - (1 << 32) if both >= 1 << 31 else both


def _records(products: HighProducts, zero_point: int) -> Array:
    """For each result channel: taps (0, 1) and (1, 2) of three rows, and what follows the sum."""
    taps = products.weight.reshape(-1, 3, 3).astype(np.int64)
    left = (taps[:, :, 0] & 0xFFFF) | (taps[:, :, 1] << 16)
    right = (taps[:, :, 1] & 0xFFFF) | (taps[:, :, 2] << 16)
    words = np.stack([left, right], axis=2).reshape(len(taps), 6)
    points = np.full(len(taps), zero_point)
    rest = np.stack([products.bias, products.multiplier, points], axis=1)
    records = np.concatenate([words, rest], axis=1)
    return (records & 0xFFFFFFFF).astype(np.uint32).view(np.int32)
