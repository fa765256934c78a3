"""Index arithmetic of the rules that move data: positions of elements as TIR expressions."""

from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any

from tvm import te, tirx

Index = Any  # an integer expression
Shape = Sequence[int]


def shape_of(tensor: te.Tensor) -> tuple[int, ...]:
    """The sizes of a tensor as plain integers."""
    return tuple(int(size) for size in tensor.shape)


def wrap_axis(axis: int, rank: int) -> int:
    """The axis counted from the front; scalars have one axis, as in torch."""
    return axis % max(rank, 1)


def compute(shape: Shape, value: Callable[[list[Index]], Any], name: str) -> te.Tensor:
    """The tensor whose element at an index is `value(index)`."""
    return te.compute(tuple(shape), lambda *index: value(list(index)), name=name)


def with_axis(index: Sequence[Index], axis: int, position: Index) -> list[Index]:
    """The index with its place on one axis exchanged."""
    return [*index[:axis], position, *index[axis + 1 :]]


def without_axis(index: Sequence[Index], axis: int) -> list[Index]:
    """The index without one of its axes."""
    return [*index[:axis], *index[axis + 1 :]]


def broadcast_place(index: Sequence[Index], shape: Shape) -> list[Index]:
    """Where a tensor of a shape that broadcasts has the element for `index`."""
    places = index[len(index) - len(shape) :]
    return [0 if size == 1 else i for i, size in zip(places, shape, strict=True)]


def flatten_index(index: Sequence[Index], shape: Shape) -> Index:
    """Row-major position of an element."""
    flat: Index = 0
    for position, size in zip(index, shape, strict=True):
        if size != 1:
            flat = flat * size + position
    return flat


def unflatten_index(flat: Index, shape: Shape) -> list[Index]:
    """Index of the element at a row-major position; inverse of `flatten_index`."""
    index: list[Index] = []
    bounded = False  # the first axis that is not 1 needs no remainder
    for axis, size in enumerate(shape):
        if size == 1:
            index.append(0)
            continue
        stride = prod(shape[axis + 1 :])
        position = flat // stride if stride > 1 else flat
        index.append(position % size if bounded and size else position)
        bounded = True
    return index


def reshape_index(index: Sequence[Index], shape: Shape, source: Shape) -> list[Index]:
    """Where the element at `index` of a `shape` view lies in a dense tensor of shape `source`.

    Axes that both shapes share stay separate: no division reaches them, so loops over them
    keep vectorizing.
    """
    result: list[Index] = []
    for new, old in _matching_axes(shape, source):
        flat = flatten_index(index[new], shape[new])
        result += unflatten_index(flat, source[old])
    return result


def wrap_index(index: Index, size: int) -> Index:
    """An index into `size` elements that counts negatives from the end, then `clamp_index`."""
    zero = tirx.const(0, index.ty.dtype)
    return clamp_index(tirx.Select(index < zero, index + size, index), size)


def clamp_index(index: Index, size: int) -> Index:
    """A run-time index as int32, moved to the nearest of `size` elements.

    PyTorch raises on an index out of range. Compiled code has no way to raise, so it stays
    inside the buffer: the result is then some existing element.
    """
    last = tirx.const(max(size - 1, 0), index.ty.dtype)
    inside = tirx.max(tirx.min(index, last), tirx.const(0, index.ty.dtype))
    return inside.astype("int32")


def within(index: Index, begin: int, end: int, size: int) -> list[Index]:
    """The conditions under which an index into `size` elements lies in [begin, end)."""
    low = [index >= begin] if begin > 0 else []
    high = [index < end] if end < size else []
    return low + high


def guarded(conditions: Sequence[Any], value: Any, otherwise: Any) -> Any:
    """`value` where all conditions hold, else `otherwise`; only the chosen one is evaluated."""
    if not conditions:
        return value
    return tirx.if_then_else(tirx.all(*conditions), value, otherwise)


def _matching_axes(shape: Shape, source: Shape) -> Iterator[tuple[slice, slice]]:
    """Smallest runs of axes of both shapes that hold the same number of elements, in order."""
    if prod(shape) == 0:
        yield slice(None), slice(None)
        return
    i = j = 0
    while i < len(shape) or j < len(source):
        first_i, first_j = i, j
        i, j = min(i + 1, len(shape)), min(j + 1, len(source))
        while (left := prod(shape[first_i:i])) != (right := prod(source[first_j:j])):
            if (left < right and i < len(shape)) or j == len(source):
                i += 1
            else:
                j += 1
        yield slice(first_i, i), slice(first_j, j)
