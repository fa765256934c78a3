"""Products of int8 on words: see targets/cpu/integer_ops.py.

The left operand is copied to where the words of one sum lie side by side, and end with zeros if
they have to; the weights are packed in panels of words. The stages are then those of float32.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from tvm import te, tirx

from ....targets.cpu.conv import conv_tile
from ....targets.cpu.integer_arm import sums_pairs
from ....targets.cpu.integer_ops import dot, for_dots, has_dots, word, word_length
from ....targets.cpu.integer_vectors import BYTES
from ....targets.cpu.integer_x86 import takes_unsigned
from ....targets.cpu.tiles import product_tile
from ..builder import Array, KernelBuilder
from .gemm import pack_matrix, read_in_panels, rows_product
from .indices import Index, flatten_index, guarded, shape_of, unflatten_index, within
from .windows import Images, Window, split_index

SUMS = "int32"
_SIGNS = -0x7F7F7F80  # the sign bits of four bytes: flipping them adds 128 to each


def takes_words(weight: te.Tensor, kernel: KernelBuilder) -> bool:
    """Whether products with the weight are best computed on words.

    Two products of -128 by -128 do not fit the 16 bits in which pairs are summed.
    """
    if not has_dots(kernel.target) or not kernel.is_constant(weight):
        return False
    return not (sums_pairs(kernel.target) and kernel.reaches_lowest(weight))


def word_product(
    left: Callable[[Index, Index], Any],
    weight: te.Tensor,
    extents: tuple[int, int],
    kernel: KernelBuilder,
) -> Callable[[Index, Index], Any]:
    """P(m, n) = sum_k left(m, k) * weight[n, k, 1...]; `extents` are those of m and k."""
    rows, depth = extents
    length = word_length(kernel.target)
    columns, count = int(weight.shape[0]), -(-depth // length)
    tile = product_tile(for_dots(kernel.target), rows, columns, count, packs=True)
    pairs = sums_pairs(kernel.target)
    transform = partial(_pack_matrix, width=tile.columns, length=length, pairs=pairs)
    packed = kernel.pack(weight, transform, f"words{tile.columns}")
    right = replace(read_in_panels(packed, columns, SUMS, kernel), tile=tile, multiply=dot)
    read = word_reader(kernel)
    words = te.compute(
        (rows, count), lambda m, k: read(lambda i: left(m, i), k, depth), name="words"
    )
    total = rows_product(lambda m, k: words(m, k), right, (rows, count), SUMS)
    rest = correction(weight, kernel)
    return lambda m, n: total(m, n) + rest(n)


def word_convolution(
    images: Images,
    weight: te.Tensor,
    window: Window,
    sizes: Sequence[int],
    kernel: KernelBuilder,
) -> Callable[[Index, Index, Sequence[Index]], Any]:
    """The sums of a convolution at `sizes` positions; images channels last, with their border."""
    channels, depth, *taps = shape_of(weight)
    if images.space == tuple(sizes) and math.prod((*taps, *window.stride)) == 1:
        return _pointwise(images, weight, sizes, kernel)
    words = _row_words(images, depth, taps[-1], window, sizes[-1], kernel)
    count = int(words.shape[-1])
    target = for_dots(kernel.target)
    tile = conv_tile(target, sizes[-1], channels, count * math.prod(taps[:-1]))
    panel = tile.columns
    length, pairs = word_length(kernel.target), sums_pairs(kernel.target)
    transform = partial(pack_windows, panel=panel, length=length, pairs=pairs)
    packed = kernel.pack(weight, transform, f"words{panel}")
    axes = [te.reduce_axis((0, size), name="t") for size in taps[:-1]]
    k = te.reduce_axis((0, count), name="k")

    def element(*at: Index) -> Any:
        n, o, position = split_index(at, True, True)
        steps = zip(position, window.stride, axes, window.dilation, strict=False)
        place = [p * stride + t * dilation for p, stride, t, dilation in steps]
        value = words(n, *place, position[-1], k)
        return te.sum(dot(packed(o // panel, *axes, k, o % panel), value), axis=[*axes, k])

    shape = (images.batch, *sizes, -(-channels // panel) * panel)
    total = te.compute(shape, element, name="conv", attrs={"schedule": "conv"})
    rest = correction(weight, kernel)
    return lambda n, o, position: total(n, *position, o) + rest(o)


def _pointwise(
    images: Images, weight: te.Tensor, space: Sequence[int], kernel: KernelBuilder
) -> Callable[[Index, Index, Sequence[Index]], Any]:
    batched = (images.batch, *space)

    def left(m: Index, k: Index) -> Any:
        n, *position = unflatten_index(m, batched)
        return images.at(n, k, position)

    total = word_product(left, weight, (math.prod(batched), images.channels), kernel)
    return lambda n, o, position: total(flatten_index((n, *position), batched), o)


def _row_words(
    images: Images, depth: int, taps: int, window: Window, columns: int, kernel: KernelBuilder
) -> te.Tensor:
    """[n, y..., x, words]: what the taps of one row of the image read for each of its results."""
    stride, dilation, length = window.stride[-1], window.dilation[-1], taps * depth
    joined = word_reader(kernel)

    def element(*at: Index) -> Any:
        n, *above, x, k = at

        def read(index: Index) -> Any:
            place = x * stride + index // depth * dilation
            return images.at(n, index % depth, [*above, place])

        return joined(read, k, length)

    shape = (images.batch, *images.space[:-1], columns, -(-length // word_length(kernel.target)))
    return te.compute(shape, element, name="words")


def pack_windows(weight: Array, *, panel: int, length: int = BYTES, pairs: bool = False) -> Array:
    """[o, c, taps...] int8 -> [o / panel, taps but the last..., words, panel], zeros added.

    The words of a row of taps hold its channels, one tap after the other.
    """
    padded = np.pad(weight, [(0, -len(weight) % panel)] + [(0, 0)] * (weight.ndim - 1))
    rows = np.moveaxis(padded, 1, -1)  # [o, taps..., c]
    words = pack_words(rows.reshape(*rows.shape[:-2], -1), length)
    panels = np.moveaxis(words.reshape(-1, panel, *words.shape[1:]), 1, -1)
    return in_pairs(panels) if pairs else panels


def pack_words(values: Array, length: int = BYTES) -> Array:
    """[..., k] int8 -> [..., k / length] integers, the first in the low bits, zeros added."""
    padding = [(0, 0)] * (values.ndim - 1) + [(0, -values.shape[-1] % length)]
    return np.ascontiguousarray(np.pad(values, padding)).view(f"<i{length}")


def _pack_matrix(weight: Array, *, width: int, length: int, pairs: bool) -> Array:
    """[n, k, 1...] int8 -> [n / width, words, width], the last panel zero-padded."""
    matrix = weight.reshape(weight.shape[:2])
    panels = pack_matrix(pack_words(matrix, length), width=width, k_last=True, taps=0)
    return in_pairs(panels) if pairs else panels


def in_pairs(panels: Array) -> Array:
    """Words of four columns -> their first two elements, column by column, then their last two."""
    shape = (*panels.shape[:-1], -1, 4, 2, 2)  # ..., vector, column, pair, element
    elements = np.ascontiguousarray(panels).view(np.int8).reshape(shape)
    moved = np.ascontiguousarray(elements.swapaxes(-3, -2))
    return moved.reshape(-1).view("<i4").reshape(panels.shape)


def word_reader(kernel: KernelBuilder) -> Callable[[Callable[[Index], Any], Index, int], Any]:
    """How to make a word of inputs: as `signed_word`, plus 128 where they are taken as uint8."""
    length = word_length(kernel.target)
    if not takes_unsigned(kernel.target):
        return partial(signed_word, length=length)
    return lambda *read: signed_word(*read, length=length) ^ tirx.const(_SIGNS, "int32")


def correction(weight: te.Tensor, kernel: KernelBuilder) -> Callable[[Index], Any]:
    """What is missing in the sums for one output: 128 was added to every input."""
    if not takes_unsigned(kernel.target):
        return lambda o: tirx.const(0, SUMS)
    packed = kernel.pack(weight, _sums_of_steps, "correction")
    return lambda o: packed(o)


def _sums_of_steps(weight: Array) -> Array:
    """-128 * the sum of each output's weights, int32 as the device computes it."""
    total = weight.reshape(len(weight), -1).sum(axis=1, dtype=np.int64)
    return np.asarray((-128 * total).astype(np.int32))


def signed_word(read: Callable[[Index], Any], index: Index, count: int, *, length: int) -> Any:
    """The word of the elements from index * length on, of `count`."""
    elements = []
    for offset in range(length):
        place = index * length + offset
        inside = within(place, 0, count, count + -count % length) if count % length else []
        elements.append(guarded(inside, read(place), tirx.const(0, "int8")))
    return word(*elements)
