"""Depthwise convolutions of int8 on words: the taps of a column of the window are one word.

A word holds what some rows of the image have at one place, so neighboring windows of a row
read the same words. They are made row by row while the kernel runs.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from tvm import te

from ....targets.cpu.integer_ops import dot, word_length
from ....targets.cpu.integer_x86 import is_x86
from ..builder import Array, KernelBuilder
from .indices import Index, shape_of
from .integer_words import correction, pack_words, word_reader
from .sliding import Found, over_window, total
from .windows import Images, Window


def takes_columns(images: Images, weight: te.Tensor, kernel: KernelBuilder) -> bool:
    """Whether a convolution is depthwise, and best computed on words of columns.

    ARM has better instructions, for single rows.
    """
    channels, depth, *taps = shape_of(weight)
    plain = depth == 1 and channels == images.channels and len(taps) == 2
    return plain and is_x86(kernel.target) and kernel.is_constant(weight)


def column_convolution(
    images: Images,
    weight: te.Tensor,
    window: Window,
    sizes: Sequence[int],
    kernel: KernelBuilder,
) -> Found:
    """The sums of a depthwise convolution; images channels last, with their border."""
    channels, _, height, width = shape_of(weight)
    length = word_length(kernel.target)
    count = -(-height // length)
    read = word_reader(kernel)

    def element(n: Index, y: Index, group: Index, x: Index, c: Index) -> Any:
        first = y * window.stride[0]

        def row(tap: Index) -> Any:
            return images.at(n, c, (first + tap * window.dilation[0], x))

        return read(row, group, height)

    made = (images.batch, sizes[0], count, images.space[1], channels)
    words = te.compute(made, element, name="columns")
    packed = kernel.pack(weight, partial(pack_columns, length=length), "columns")

    def product(n: Index, o: Index, position: Sequence[Index], taps: Sequence[Any]) -> Any:
        place = position[1] * window.stride[1] + taps[1] * window.dilation[1]
        return dot(packed(*taps, o), words(n, position[0], taps[0], place, o))

    apart = Window(  # rows of words share nothing
        stride=(count, window.stride[1]), dilation=(1, window.dilation[1]), before=(), after=()
    )
    found = over_window(
        "depthwise", (images.batch, *sizes, channels), (count, width), apart, product, total
    )
    rest = correction(weight, kernel)
    return lambda n, o, position: found(n, o, position) + rest(o)


def pack_columns(weight: Array, *, length: int) -> Array:
    """[o, 1, rows, columns] int8 -> [words of rows, columns, o], zeros added."""
    words = pack_words(np.moveaxis(weight[:, 0], 1, -1), length)  # [o, columns, words]
    return np.moveaxis(words, (2, 1, 0), (0, 1, 2))
