"""The sizes of a dense layer, and how its input lies in expanded rows."""

from dataclasses import dataclass, replace
from math import prod

import numpy as np

from .dense_rows import Widening, widening
from .dense_window import Window
from .layer import Array, NodeArguments


@dataclass(frozen=True)
class DenseImage:
    """One image [rows, columns, channels] and the results of a convolution of it.

    Axes that come in pairs are (down, right).
    """

    size: tuple[int, int]
    channels: int
    result_size: tuple[int, int]
    results: int  # channels of the result
    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    input_zero_point: int = 0
    zero_point: int = 0
    low: int = -128
    high: int = 127

    @classmethod
    def of_convolution(cls, node: NodeArguments) -> "DenseImage | None":
        """A convolution's sizes; None for what has no image, or several."""
        (x,), y, values = node.inputs, node.output, node.values
        weight = node.constants["weight"]
        if len(x.shape) != 4 or x.shape[0] != 1:
            return None
        image = cls(
            size=(x.shape[1], x.shape[2]),
            channels=x.shape[3],
            result_size=(y.shape[1], y.shape[2]),
            results=y.shape[3],
            kernel=(weight.shape[2], weight.shape[3]),
            stride=_pair(values["stride"]),
            padding=_pair(values["padding"]),
            dilation=_pair(values["dilation"]),
            groups=values["groups"],
            input_zero_point=values["input_zero_point"],
            zero_point=values["zero_point"],
            low=values["low"],
            high=values["high"],
        )
        return image._flat()

    @classmethod
    def of_rows(cls, node: NodeArguments) -> "DenseImage":
        """A linear layer's: rows are the pixels of a convolution of 1x1."""
        (x,), weight = node.inputs, node.constants["weight"]
        pixels = prod(x.shape[:-1])
        return cls(
            size=(1, pixels),
            channels=x.shape[-1],
            result_size=(1, pixels),
            results=weight.shape[0],
            kernel=(1, 1),
            zero_point=node.values["zero_point"],
            low=node.values["low"],
            high=node.values["high"],
        )

    def _flat(self) -> "DenseImage":
        """A convolution of 1x1 works on one long row of pixels."""
        if self.kernel != (1, 1) or self.stride != (1, 1) or self.padding != (0, 0):
            return self
        long = (1, prod(self.size))
        return replace(self, size=long, result_size=long, dilation=(1, 1))

    @property
    def macs(self) -> int:
        """Products of all results, padding included."""
        factors = prod(self.kernel) * self.channels // self.groups
        return prod(self.result_size) * self.results * factors

    @property
    def widening(self) -> Widening:
        """How pixels are widened."""
        return widening(self.channels)

    @property
    def reach(self) -> tuple[int, int]:
        """Rows and columns that one result's window covers."""
        (down, right), (below, beside) = self.kernel, self.dilation
        return (down - 1) * below + 1, (right - 1) * beside + 1

    def columns_for(self, results: int) -> int:
        """Columns that so many neighboring results read."""
        return (results - 1) * self.stride[1] + self.reach[1]

    def row_elements(self, results: int) -> int:
        """int16 of an expanded row for so many results: a whole number of words."""
        return -(-self.columns_for(results) * self.widening.elements // 2) * 2

    def window(self, row: int) -> Window:
        """What a result of one group reads, where expanded rows are `row` int16 long."""
        pixel = self.widening.elements
        down, right = self.kernel
        touching = self.dilation[1] == 1 and self.groups == 1
        length = pixel // self.groups * (right if touching else 1)
        return Window(
            -(-length // 4) * 4,
            rows=down,
            row=row * self.dilation[0] if down > 1 else 0,
            taps=1 if touching else right,
            tap=0 if touching or right == 1 else pixel * self.dilation[1],
            pixel=pixel * self.stride[1],
        )

    def arranged(self, weight: Array) -> Array:
        """Weights [O, C / groups, KH, KW] as [O, factors], in the order of the window."""
        down = self.kernel[0]
        order = self.widening.order[: self.widening.elements // self.groups]
        width = int(order.max()) + 1
        own = weight.shape[1]
        padded = np.pad(weight, ((0, 0), (0, max(width - own, 0)), (0, 0), (0, 0)))
        taps = padded[:, order].transpose(0, 2, 3, 1)  # [O, KH, KW, elements]
        window = self.window(0)
        pieces = taps.reshape(len(weight), down, window.taps, -1)
        missing = window.length - pieces.shape[-1]
        filled = np.pad(pieces, ((0, 0), (0, 0), (0, 0), (0, missing)))
        return np.ascontiguousarray(filled.reshape(len(weight), -1))


def _pair(values: list[int]) -> tuple[int, int]:
    down, right = values
    return down, right
