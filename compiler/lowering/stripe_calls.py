"""The calls that compute a chain of regions in stripes of rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch.fx import Node

from ..ir.layout import Layout
from ..ir.program import node_spec
from ..ir.regions import Region
from ..ir.tensor_spec import TensorSpec
from .stripes import Chain, of_rows

if TYPE_CHECKING:
    from .lower import Builder


@dataclass(frozen=True)
class _Rows:
    """A value that kernels read and write some rows at a time: one image, channels last."""

    name: str
    spec: TensorSpec
    layout: Layout

    @property
    def stride(self) -> int:
        """Elements from one row to the next."""
        return self.layout.strides(self.spec.shape)[1]

    @property
    def of_stripe(self) -> Layout:
        """The layout of some rows: what is left and right of them belongs to them."""
        return Layout((0, self.layout.before[1]), (0, self.layout.after[1]), self.layout.fill)

    def start(self, row: int) -> int:
        """The element at which a row begins, its border included."""
        return (self.layout.before[0] + row) * self.stride


def add_stripes(builder: Builder, chain: Chain) -> None:
    """Append the calls for all stripes of the result, from the top."""
    height, total = (node_spec(n).shape[2] for n in (chain.image, chain.narrow.result))
    stripes = _Stripes(builder, chain)
    stripes.begin()
    new = chain.rows * chain.stride
    for first in range(0, total, chain.rows):
        if first:
            stripes.keep()
        top = chain.kept + first * chain.stride - chain.before  # the first row that is not there
        count = max(0, min(new, height - top))
        stripes.widen(top, count, chain.kept)
        stripes.clear(chain.kept + count, chain.window)
        stripes.finish(first)
    builder.add_border(chain.narrow.result)


class _Stripes:
    """The values of one chain: an image, rows under the window, rows of its result, an image."""

    def __init__(self, builder: Builder, chain: Chain) -> None:
        self.builder, self.chain = builder, chain
        wide, middle = node_spec(chain.widen.result), node_spec(chain.depthwise.result)
        _, channels, _, columns = wide.shape
        padding = chain.border[1]
        spec = TensorSpec((1, channels, chain.window, columns), wide.dtype)
        self.window = self._scratch(spec, Layout((0, padding), (0, padding)))
        spec = TensorSpec((1, middle.shape[1], chain.rows, middle.shape[3]), middle.dtype)
        self.middle = self._scratch(spec, Layout.without_border(4))
        builder.result(chain.narrow.result)

    def begin(self) -> None:
        """Fill the border of the window, and those of its rows that no stripe computes."""
        if self.window.layout.has_border:
            kernel = self.builder.kernels.border(self.window.spec, self.window.layout)
            node = self.chain.depthwise.result
            self.builder.move(kernel, "border", node, (self.window.name, 0))
        self.clear(0, self.chain.before)
        self.widen(0, self.chain.kept - self.chain.before, self.chain.before)

    def keep(self) -> None:
        """Move the last rows of the window to its front."""
        elements = self.chain.kept * self.window.stride
        if elements:
            source = self.window.start(self.chain.window - self.chain.kept)
            kernel = self.builder.kernels.copy(elements, self.window.spec.dtype)
            ends = (self.window.name, source), (self.window.name, 0)
            self.builder.move(kernel, "keep rows", self.chain.depthwise.result, *ends)

    def widen(self, row: int, count: int, slot: int) -> None:
        """Compute rows of the wide image into the window."""
        if count > 0:
            node = self.chain.widen.result
            self._call(self.chain.widen, count, row, {node: (self.window, slot)})

    def finish(self, row: int) -> None:
        """Compute rows of the result from the window."""
        chain = self.chain
        inside = {chain.widen.result: (self.window, 0), chain.depthwise.result: (self.middle, 0)}
        self._call(chain.depthwise, chain.window, row, inside)
        self._call(chain.narrow, chain.rows, row, inside)

    def clear(self, first: int, end: int) -> None:
        """Set rows of the window, those that the wide image does not have, to zero."""
        if first < end:
            elements = (end - first) * self.window.stride
            kernel = self.builder.kernels.fill(elements, self.window.spec.dtype, 0)
            place = (self.window.name, self.window.start(first))
            self.builder.move(kernel, "border", self.chain.depthwise.result, place)

    def _scratch(self, spec: TensorSpec, layout: Layout) -> _Rows:
        stored = TensorSpec(layout.storage(spec.shape), spec.dtype)
        return _Rows(self.builder.new_value("v", "intermediate", stored), spec, layout)

    def _call(
        self, region: Region, rows: int, row: int, inside: Mapping[Node, tuple[_Rows, int]]
    ) -> None:
        """Call the kernel that computes a region from `rows` rows of images.

        Args:
            region: Of the whole image.
            rows: Of its inputs.
            row: The first one in values that hold the whole image.
            inside: The values that do not, and the first row in them.
        """
        stripe = of_rows(region, rows)
        original = dict(zip(stripe.inputs, region.inputs, strict=True))
        original |= dict(zip(stripe.outputs, region.outputs, strict=True))
        places = {
            node: inside[node] if node in inside else (self._whole(node), row)
            for node in original.values()
            if node in inside or node in self.builder.kernels.layouts.stored
        }
        known = self.builder.kernels.weights
        kernel = self.builder.kernels.make(
            stripe,
            {copy: known[node] for copy, node in original.items() if node in known},
            {copy: places[node][0].of_stripe for copy, node in original.items() if node in places},
        )
        reads, offsets = [], []
        for argument in kernel.arguments:
            node = region.inputs[argument.region_input] if argument.region_input >= 0 else None
            at = places.get(node) if node is not None else None
            reads.append(at[0].name if at else self.builder.argument(argument, region))
            offsets.append(argument.offset + (at[0].start(at[1]) if at else 0))
        out, first = places[region.result]
        offsets.append(out.start(first) + out.layout.before[1] * out.spec.shape[1])
        self.builder.call(kernel, stripe, reads, [out.name], offsets)

    def _whole(self, node: Node) -> _Rows:
        layout = self.builder.kernels.layouts.stored[node]
        return _Rows(self.builder.value_of(node), node_spec(node), layout)
