"""Which values are stored channels last, and with how much border.

Kernels that read images say what they would like (`KernelBuilder.wishes`): channels last, with the
border that their windows reach into. A value gets a layout if such a kernel makes or reads it, or
if it lies between values that have one. All others, and what the model is given or returns, are
plain.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch._ops import OpOverload
from torch.fx import Node

from ...targets.target import Target
from ..ir.layout import Layout, common_layout
from ..ir.op_kinds import Kind, kind_of
from ..ir.program import Program, node_spec
from ..ir.regions import Region
from .aliases import are_channels_last, are_dense, is_only_moved, moved_strides, only_moves
from .builder import Array
from .options import KernelOptions
from .region import lower_region
from .signature import region_signature

aten = torch.ops.aten

# Operators whose results are images if their operands are, though they move elements.
_KEEP_AXES = {
    aten.slice,
    aten.flip,
    aten.cat,
    aten.constant_pad_nd,
    aten.roll,
    aten.channel_shuffle,
    aten.native_channel_shuffle,
    aten.pixel_shuffle,
    aten.pixel_unshuffle,
    # resampling, by every algorithm
    aten.upsample_nearest1d,
    aten.upsample_nearest2d,
    aten.upsample_nearest3d,
    aten._upsample_nearest_exact1d,
    aten._upsample_nearest_exact2d,
    aten._upsample_nearest_exact3d,
    aten.upsample_linear1d,
    aten.upsample_bilinear2d,
    aten.upsample_trilinear3d,
    aten.upsample_bicubic2d,
    aten._upsample_bilinear2d_aa,
    aten._upsample_bicubic2d_aa,
}


@dataclass(frozen=True)
class Layouts:
    """How values are stored: row-major, except those named here."""

    stored: Mapping[Node, Layout]  # channels last from the start
    copied: Mapping[Node, Layout]  # row-major, with a copy channels last for those who wish it
    wishing: Mapping[Region, tuple[Node, ...]]  # who reads which of the copies
    aliases: frozenset[Node] = frozenset()  # have the very bytes of what they are made from

    def of(self, region: Region) -> dict[Node, Layout]:
        """The layouts in which a region reads and writes."""
        copies = {node: self.copied[node] for node in self.wishing.get(region, ())}
        values = (*region.inputs, *region.outputs)
        return copies | {node: self.stored[node] for node in values if node in self.stored}


def choose_layouts(
    program: Program,
    todo: Sequence[Region],
    target: Target,
    options: KernelOptions,
    weights: Mapping[Node, Array],
) -> Layouts:
    """The layouts of all values.

    Args:
        program: The program that consists of the regions.
        todo: Its regions, in order.
        target: The core the kernels are compiled for.
        options: What the user chose about the kernels.
        weights: The values of all constants.
    """
    search = _Search(target, options, weights)
    for region in todo:
        search.add(region)
    returned = set(program.output_nodes)
    stored: dict[Node, Layout] = {}
    aliases: set[Node] = set()
    for region in todo:
        if search.is_alias(region, stored, returned):
            aliases.add(region.result)
            continue
        for node in region.outputs:
            if search.is_image(node, region, stored):
                layout = search.layout(node)
                if node not in returned or layout.is_plain(node_spec(node).shape):
                    stored[node] = layout
    copied = {n: search.layout(n) for n in search.wishes if n not in stored}
    for node in [n for n, layout in copied.items() if layout.is_plain(node_spec(n).shape)]:
        stored[node] = copied.pop(node)  # the same bytes
    wishing = {r: tuple(n for n in nodes if n in copied) for r, nodes in search.wishing.items()}
    return Layouts(stored, copied, wishing, frozenset(aliases))


@dataclass
class _Search:
    """What the kernels of a program wish for."""

    target: Target
    options: KernelOptions
    weights: Mapping[Node, Array]
    wishes: dict[Node, list[Layout]] = field(default_factory=dict)
    wishing: dict[Region, list[Node]] = field(default_factory=dict)  # who wishes for what
    makers: set[Region] = field(default_factory=set)  # regions whose results are images
    _known: dict[str, tuple[dict[int, list[Layout]], bool]] = field(default_factory=dict)

    def add(self, region: Region) -> None:
        """Collect the wishes of one region."""
        if not any(len(node_spec(n).shape) > 2 for n in region.inputs):
            return
        key = region_signature(region, {})
        if key not in self._known:
            own = {n: self.weights[n] for n in region.inputs if n in self.weights}
            made = lower_region(region, self.target, own, {}, self.options)
            self._known[key] = made.wishes, made.makes_images
        wishes, makes_images = self._known[key]
        for index, layouts in wishes.items():
            self.wishes.setdefault(region.inputs[index], []).extend(layouts)
            self.wishing.setdefault(region, []).append(region.inputs[index])
        if makes_images:
            self.makers.add(region)

    def layout(self, node: Node) -> Layout:
        """The layout of a value that is an image."""
        rank = len(node_spec(node).shape)
        return common_layout(self.wishes.get(node, [Layout.without_border(rank)]))

    def is_alias(
        self, region: Region, chosen: dict[Node, Layout], returned: Collection[Node]
    ) -> bool:
        """Whether a region moves nothing. Its result is then `chosen` if it is an image."""
        if not only_moves(region):
            return False
        node, shape = region.result, node_spec(region.result).shape
        strides = moved_strides(region, chosen.get(region.inputs[0]))
        if strides is None or are_dense(shape, strides):
            return strides is not None
        layout = self.layout(node) if len(shape) > 2 else None
        serves = node in self.wishes or is_only_moved(node)
        if layout is None or layout.has_border or not serves or node in returned:
            return False
        if are_channels_last(shape, strides):
            chosen[node] = layout
        return node in chosen

    def is_image(self, node: Node, region: Region, chosen: Mapping[Node, Layout]) -> bool:
        """Whether a result of a region is stored channels last."""
        shape = node_spec(node).shape
        if len(shape) < 3:
            return False
        if region in self.makers or node in self.wishes:
            return True
        return all(map(_keeps_axes, region.nodes)) and any(
            source in chosen and len(node_spec(source).shape) == len(shape)
            for source in region.inputs
        )


def _keeps_axes(node: Node) -> bool:
    if kind_of(node) is Kind.ELEMENTWISE:
        return True
    return isinstance(node.target, OpOverload) and node.target.overloadpacket in _KEEP_AXES
