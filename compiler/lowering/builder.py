"""What a lowering rule may ask about the kernel it builds: lanes, weights, tables."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import te

from ...targets.target import Target
from ..ir.layout import Layout
from .options import KernelOptions

Array = np.ndarray[Any, np.dtype[Any]]


_DEFAULTS = KernelOptions()
_NONE: Mapping[te.Tensor, Layout] = {}


@dataclass(frozen=True)
class Packed:
    """A constant made for one kernel: `tensor` stands for `data` in it.

    `source` and `transform` say how it came from a weight, so that the same kernel can serve
    another region whose weights differ; a table (`source` None) is the same for all of them.
    """

    tensor: te.Tensor
    data: Array
    name: str
    source: te.Tensor | None
    transform: Callable[[Array], Array] | None


@dataclass(frozen=True)
class View:
    """A placeholder for some elements of an input that is stored channels last.

    Element [i, j, ...] lies `offset` + i * strides[0] + j * strides[1] + ... elements from the
    start of the input's buffer. Elements may be the same for several indices.
    """

    tensor: te.Tensor
    source: te.Tensor  # the input as the rules see it, [N, C, ...]
    strides: tuple[int, ...]
    offset: int


class KernelBuilder:
    """The context of the rules that build one kernel.

    Args:
        target: The core the kernel is compiled for.
        constants: The values of those placeholders that are weights; bfloat16 as a uint16 view.
        options: What the user chose about the kernels.
        images: The layouts of the inputs that are stored channels last.
        product_rows: Rows of the products that read a weight elsewhere: see `sharing.py`.
    """

    def __init__(
        self,
        target: Target,
        constants: Mapping[te.Tensor, Array],
        options: KernelOptions = _DEFAULTS,
        images: Mapping[te.Tensor, Layout] = _NONE,
        product_rows: Sequence[tuple[te.Tensor, int]] = (),
    ) -> None:
        self.target = target
        self.options = options
        self.packed: list[Packed] = []
        self.inspected: list[te.Tensor] = []  # weights whose values decided about the kernel
        self.wishes: list[tuple[te.Tensor, Layout]] = []  # how rules wanted tensors stored
        self.makes_images = False  # whether a result is best stored channels last
        self.result_axes: list[int] | None = None  # how the rule's result is permuted afterwards
        self._constants = list(constants.items())
        self._widened: list[tuple[te.Tensor, te.Tensor]] = []  # a cast of a weight, the weight
        self.views: list[View] = []
        self._images = list(images.items())
        self._product_rows = product_rows

    def lanes(self, dtype: str) -> int:
        """Elements of `dtype` that fit one vector register (at least 1)."""
        bits = 8 if dtype == "bool" else int("".join(filter(str.isdigit, dtype)))
        return self.target.lanes(bits)

    def widen(self, tensor: te.Tensor, weight: te.Tensor) -> None:
        """Let `tensor`, which casts `weight` to float32, count as a weight.

        Packed, it keeps the dtype in which it is stored: readers cast each element.
        """
        self._widened.append((tensor, weight))

    def is_widened(self, tensor: te.Tensor) -> bool:
        """Whether the tensor is a weight that is stored in fewer bits than its dtype has."""
        return not self._stored(tensor).same_as(tensor)

    def constant(self, tensor: te.Tensor) -> Array | None:
        """The value of a tensor that is a weight, None for any other.

        A kernel built with it serves only regions whose weight has this very value; to change
        the layout of a weight use `pack`, to know that it is one use `is_constant`.
        """
        value = self._value(tensor)
        if value is None:
            return None
        stored = self._stored(tensor)
        self.inspected.append(stored)
        if self.is_widened(tensor):
            is_bfloat16 = str(stored.dtype) == "bfloat16"
            bits = value.astype(np.uint32) << 16 if is_bfloat16 else value
            return bits.view(np.float32) if is_bfloat16 else value.astype(np.float32)
        return value

    def image(self, tensor: te.Tensor, wanted: Layout) -> Layout | None:
        """How [N, C, ...] lies in memory, if `wanted` can be read from it through a `view`."""
        self.makes_images = True
        self.wishes.append((tensor, wanted))
        layouts = (layout for image, layout in self._images if image.same_as(tensor))
        return next((layout for layout in layouts if layout.covers(wanted)), None)

    def view(
        self, source: te.Tensor, shape: Sequence[int], strides: Sequence[int], offset: int
    ) -> te.Tensor:
        """A placeholder for elements of an input that is stored channels last: see `View`."""
        for other in self.views:
            same = other.source.same_as(source) and tuple(map(int, other.tensor.shape)) == shape
            if same and other.strides == tuple(strides) and other.offset == offset:
                return other.tensor
        name = f"view{len(self.views)}"
        tensor = te.placeholder(tuple(shape), source.dtype, name=name)
        self.views.append(View(tensor, source, tuple(strides), offset))
        return tensor

    def product_rows(self, tensor: te.Tensor) -> int:
        """Rows of a product that reads this weight in another kernel, in panels; 0 = none does."""
        return next((rows for other, rows in self._product_rows if other.same_as(tensor)), 0)

    def is_constant(self, tensor: te.Tensor) -> bool:
        """Whether the tensor is a weight."""
        return self._value(tensor) is not None

    def reaches_lowest(self, tensor: te.Tensor) -> bool:
        """Whether a weight of int8 has an element of -128; kernels differ in that."""
        value = self._value(tensor)
        assert value is not None, f"values of {tensor.op.name}, which is no weight"
        return reaches_lowest(value)

    def stays_small(self, tensor: te.Tensor) -> bool:
        """Whether the elements of a weight of int32 are below 2^29; kernels differ in that."""
        value = self._value(tensor)
        assert value is not None, f"values of {tensor.op.name}, which is no weight"
        return not is_large(value)

    def pack(self, tensor: te.Tensor, transform: Callable[[Array], Array], name: str) -> te.Tensor:
        """A new placeholder for `transform(weight)`, computed at compile time.

        `tensor` must be a weight. `transform` sees bfloat16 as uint16 and may only move it; what
        it does may depend on the weight's shape and dtype, not on its values.
        """
        tensor, value = self._stored(tensor), self._value(tensor)
        assert value is not None, f"pack of {tensor.op.name}, which is no weight"
        for other in self.packed:
            if other.source is not None and other.source.same_as(tensor) and other.name == name:
                return other.tensor
        data = np.ascontiguousarray(transform(value))
        bfloat16 = str(tensor.dtype) == "bfloat16" and data.dtype == np.uint16
        dtype = "bfloat16" if bfloat16 else data.dtype.name
        placeholder = te.placeholder(data.shape, dtype, name=name)
        self.packed.append(Packed(placeholder, data, name, tensor, transform))
        return placeholder

    def table(self, data: Array, name: str) -> te.Tensor:
        """A new placeholder for a constant that the rule computed from the op's attributes."""
        data = np.ascontiguousarray(data)
        placeholder = te.placeholder(data.shape, data.dtype.name, name=name)
        self.packed.append(Packed(placeholder, data, name, None, None))
        return placeholder

    def _stored(self, tensor: te.Tensor) -> te.Tensor:
        """The weight that a tensor casts, or the tensor itself."""
        return next((weight for t, weight in self._widened if t.same_as(tensor)), tensor)

    def _value(self, tensor: te.Tensor) -> Array | None:
        # rank-0 te tensors refuse ==, so no dict lookup
        stored = self._stored(tensor)
        return next((v for t, v in self._constants if t.same_as(stored)), None)


def reaches_lowest(weight: Array) -> bool:
    """Whether a weight is of int8 and has an element of -128, whose products are the largest."""
    return weight.dtype == np.int8 and bool((weight == np.iinfo(np.int8).min).any())


def is_large(weight: Array) -> bool:
    """Whether a weight is of int32 and has an element that four times does not fit 32 bits."""
    return weight.dtype == np.int32 and bool((np.abs(weight.astype(np.int64)) >= 1 << 29).any())
