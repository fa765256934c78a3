"""Depthwise convolutions of int8: sums of a few taps at a time, where a core makes these cheap.

Cores that multiply words take four rows of one column as a word, which serves several rows of
results. Others on ARM sum two products in 16 bits, which they hold unless two weights are -128.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from tvm import te, tirx

from ....targets.cpu.integer_ops import adds_dots, dot, sums_products, word
from ....targets.cpu.integer_vectors import BYTES
from ....targets.cpu.taps import LANES, MOST_TAPS
from ..builder import Array, KernelBuilder
from .indices import Index, shape_of
from .integer_words import pack_words
from .sliding import Found
from .windows import Images, Window

_MOST_ROWS = 4  # of results that one word serves
Start = Callable[[Index], Any]  # what the sums of a channel start with


@dataclass(frozen=True)
class Rows:
    """Rows of results that read the same words.

    Args:
        together: How many.
        taps: Rows of taps.
        columns: Columns of taps.
        stride: Rows from one result to the next.
        dilation: Rows from one tap to the next; not 1 only if `together` is 1.
    """

    together: int
    taps: int
    columns: int
    stride: int
    dilation: int

    @property
    def read(self) -> int:
        """Rows of the image that are read, the last word may go beyond them."""
        return (self.together - 1) * self.stride + self.taps

    @property
    def words(self) -> int:
        """Words that hold a column of them."""
        return -(-self.read // BYTES)

    @property
    def cost(self) -> float:
        """Instructions for each result and eight channels: to load, to make words, to sum."""
        made = (self.read + 4 * self.words) / self.together
        return made + 2 * self.words * self.columns

    def missing(self, results: int) -> int:
        """Rows that are read behind the image."""
        return -results % self.together * self.stride


def takes_taps(weight: te.Tensor, groups: int, kernel: KernelBuilder) -> bool:
    """Whether a convolution with the weight is a depthwise one that is best summed so."""
    outputs, depth, *taps = shape_of(weight)
    if depth > 1 or groups != outputs or not kernel.is_constant(weight):
        return False
    if outputs < LANES or math.prod(taps) > MOST_TAPS:
        return False
    if _takes_words(weight, kernel):
        return True
    return sums_products(kernel.target) and not kernel.reaches_lowest(weight)


def missing_rows(
    weight: te.Tensor, window: Window, sizes: Sequence[int], kernel: KernelBuilder
) -> int:
    """How many rows behind the image are read."""
    if not _takes_words(weight, kernel):
        return 0
    return rows_together(weight, window).missing(sizes[0])


def tap_sums(
    images: Images,
    weight: te.Tensor,
    window: Window,
    sizes: Sequence[int],
    start: Start,
    kernel: KernelBuilder,
) -> Found:
    """P[n,p,o] = start(o) + sum_t x[n, p * stride + t * dilation, o] * w[o,0,t], tagged "taps".

    The images have `missing_rows` more rows than the taps reach.
    """
    outputs, _, *taps = shape_of(weight)
    rows = rows_together(weight, window) if _takes_words(weight, kernel) else None
    if rows:
        summands = _word_products(images, weight, window, rows, kernel)
    else:
        summands = _pair_products(images, weight, window, kernel)

    def element(*at: Index) -> Any:
        n, *position, o = at
        total = start(o)
        for summand in summands(n, position, o):
            total = total + summand
        return total

    notes = {
        "schedule": "taps",
        "taps": list(taps),
        "stride": list(window.stride),
        "dilation": list(window.dilation),
        "together": rows.together if rows else 1,
    }
    found = te.compute((images.batch, *sizes, outputs), element, name="taps", attrs=notes)
    return lambda n, o, position: found(n, *position, o)


def rows_together(weight: te.Tensor, window: Window) -> Rows:
    """The rows of results that share words so that each costs the fewest instructions."""
    *_, taps, columns = shape_of(weight)
    stride, dilation = window.stride[0], window.dilation[0]
    most = _MOST_ROWS if dilation == 1 else 1
    choices = [Rows(count, taps, columns, stride, dilation) for count in range(1, most + 1)]
    return min(choices, key=lambda rows: rows.cost)


def _takes_words(weight: te.Tensor, kernel: KernelBuilder) -> bool:
    return adds_dots(kernel.target) and len(weight.shape) == 4


Summands = Callable[[Index, Sequence[Index], Index], Iterator[Any]]


def _word_products(
    images: Images, weight: te.Tensor, window: Window, rows: Rows, kernel: KernelBuilder
) -> Summands:
    name = f"columns{rows.together}_{rows.stride}"
    packed = kernel.pack(weight, partial(pack_columns, rows=rows), name)

    def summands(n: Index, position: Sequence[Index], o: Index) -> Iterator[Any]:
        y, x = position
        first = tirx.floordiv(y, rows.together) * (rows.together * rows.stride)

        def read(row: int, column: int) -> Any:
            if row >= rows.read:
                return tirx.const(0, "int8")
            place = [
                first + row * rows.dilation,
                x * window.stride[1] + column * window.dilation[1],
            ]
            return images.at(n, o, place)

        for column, index in product(range(rows.columns), range(rows.words)):
            elements = [read(BYTES * index + i, column) for i in range(BYTES)]
            own = tirx.floormod(y, rows.together)
            yield dot(packed(own, column, index, o), word(*elements))

    return summands


def _pair_products(
    images: Images, weight: te.Tensor, window: Window, kernel: KernelBuilder
) -> Summands:
    places = list(product(*map(range, shape_of(weight)[2:])))
    packed = kernel.pack(weight, _taps_first, "taps")

    def summands(n: Index, position: Sequence[Index], o: Index) -> Iterator[Any]:
        def tap(place: Sequence[int]) -> Any:
            value = images.at(n, o, window.at(position, place)).astype("int16")
            return value * packed(*place, o).astype("int16")

        for index in range(0, len(places), 2):
            first, *second = [tap(place) for place in places[index : index + 2]]
            yield (first + second[0] if second else first).astype("int32")

    return summands


def pack_columns(weight: Array, *, rows: Rows) -> Array:
    """[o, 1, y, x] int8 -> [row of results, x, words, o] int32: zeros where a row reads no tap."""
    outputs, _, taps, columns = weight.shape
    placed = np.zeros((rows.together, columns, outputs, rows.words * BYTES), np.int8)
    for row in range(rows.together):
        first = row * rows.stride
        placed[row, ..., first : first + taps] = np.moveaxis(weight[:, 0], -1, 0)
    return np.ascontiguousarray(np.moveaxis(pack_words(placed), 2, -1))


def _taps_first(weight: Array) -> Array:
    return np.ascontiguousarray(np.moveaxis(weight[:, 0], 0, -1))
