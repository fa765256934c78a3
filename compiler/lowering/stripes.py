"""Inverted residuals, some rows at a time: 1x1 convolution -> depthwise -> 1x1 convolution.

The first convolution widens the image, the last one narrows it again. Computed one after the other
they pass the wide images through memory. Computed in stripes of rows, the rows of a stripe stay in
the cache: the wide image never exists as a whole, only the rows that a window reaches over. Source
of the idea: line buffers, as in Sandler et al. 2018 (MobileNetV2), section 5.1.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.fx import Graph, Node
from torch.fx.node import map_arg

from ...targets.target import Target
from ..ir.op_kinds import Kind, kind_of
from ..ir.program import node_spec
from ..ir.regions import Region
from .layouts import Layouts
from .rules.windows import per_axis

aten = torch.ops.aten


@dataclass(frozen=True)
class Chain:
    """Three regions that are computed in stripes.

    The window of the depthwise convolution is `taps` rows high and moves by `stride` rows.
    """

    widen: Region
    depthwise: Region
    narrow: Region
    taps: int
    stride: int
    border: tuple[int, int]  # rows above and below the wide image, columns beside it
    rows: int  # of the result, in one stripe

    @property
    def image(self) -> Node:
        """What the chain reads."""
        return _data(self.widen)

    @property
    def before(self) -> int:
        """Rows above the wide image that the first window reaches."""
        return self.border[0]

    @property
    def window(self) -> int:
        """Rows of the wide image that one stripe of the result needs."""
        return (self.rows - 1) * self.stride + self.taps

    @property
    def kept(self) -> int:
        """Rows of the wide image that the next stripe needs again."""
        return self.taps - self.stride


def find_chains(todo: Sequence[Region], layouts: Layouts, target: Target) -> dict[Region, Chain]:
    """The chains that are worth it, by each of their regions."""
    makers = {region.result: region for region in todo if len(region.outputs) == 1}
    found: dict[Region, Chain] = {}
    for narrow in todo:
        chain = _chain(narrow, makers, layouts, target)
        if chain is not None:
            found |= dict.fromkeys((chain.widen, chain.depthwise, chain.narrow), chain)
    return found


def _chain(
    narrow: Region, makers: Mapping[Node, Region], layouts: Layouts, target: Target
) -> Chain | None:
    depthwise = makers.get(_data(narrow)) if _is_pointwise(narrow) else None
    widen = makers.get(_data(depthwise)) if depthwise and _is_depthwise(depthwise) else None
    if depthwise is None or widen is None or not _is_pointwise(widen):
        return None
    ends = (_data(widen), narrow.result)
    stored = all(node in layouts.stored for node in ends)
    alone = all(_is_read_once(region) for region in (widen, depthwise))
    whole = any(_is_image(node) for region in (widen, depthwise) for node in _others(region))
    if not stored or not alone or whole or node_spec(narrow.result).shape[0] != 1:
        return None
    options = _options(_first(depthwise))
    assert options is not None
    taps, stride = node_spec(options.weight).shape[2], options.stride[0]
    rows = _rows(widen, narrow, taps, stride, target)
    return Chain(widen, depthwise, narrow, taps, stride, options.padding, rows) if rows else None


def _rows(widen: Region, narrow: Region, taps: int, stride: int, target: Target) -> int:
    """Rows of a stripe, 0 if the chain is better computed in one piece.

    It is where the wide image fits the cache anyway, or where the weights that every stripe reads
    again take up the cache themselves.
    """
    wide, height = node_spec(widen.result), node_spec(narrow.result).shape[2]
    weights = sum(node_spec(node).nbytes for r in (widen, narrow) for node in _weights(r))
    if wide.nbytes <= target.l2_bytes // 2 or weights > target.l2_bytes // 4 or taps < stride:
        return 0
    row = wide.nbytes // wide.shape[2]
    fit = [
        rows
        for rows in range(2, height // 2 + 1)
        if height % rows == 0
        and rows * stride >= taps - stride  # what is kept moves to the front in one piece
        and ((rows - 1) * stride + taps) * row <= target.l2_bytes // 2
    ]
    return max(fit, default=0)


def _is_pointwise(region: Region) -> bool:
    options = _options(_first(region))
    if options is None or not _is_elementwise_after(region):
        return False
    ones = (*node_spec(options.weight).shape[2:], *options.stride) == (1, 1, 1, 1)
    return ones and options.padding == (0, 0) and options.groups == 1


def _is_depthwise(region: Region) -> bool:
    options = _options(_first(region))
    if options is None or not _is_elementwise_after(region):
        return False
    channels = node_spec(_data(region)).shape[1]
    single = options.groups == channels == node_spec(options.weight).shape[0]
    return single and options.dilation == (1, 1)


@dataclass(frozen=True)
class _Options:
    """The arguments of a convolution of images."""

    source: Node
    weight: Node
    bias: Node | None
    stride: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    groups: int


_DEFAULTS: tuple[Any, ...] = (None, None, None, 1, 0, 1, 1)  # of the arguments of conv2d


def _options(node: Node) -> _Options | None:
    if node.target is not aten.conv2d.default or len(node_spec(node).shape) != 4:
        return None
    given: list[Any] = [*node.args, *_DEFAULTS[len(node.args) :]]
    source, weight, bias, stride, padding, dilation, groups = given
    pairs = [_pair(option) for option in (stride, padding, dilation)]
    return _Options(source, weight, bias, pairs[0], pairs[1], pairs[2], groups)


def _pair(option: Any) -> tuple[int, int]:
    rows, columns = per_axis(option, 2)
    return rows, columns


def _is_elementwise_after(region: Region) -> bool:
    first = _first(region)
    return all(kind_of(node) is Kind.ELEMENTWISE for node in region.nodes if node is not first)


def _is_read_once(region: Region) -> bool:
    return len(region.result.users) == 1


def _data(region: Region) -> Node:
    source = _first(region).args[0]
    assert isinstance(source, Node)
    return source


def _first(region: Region) -> Node:
    """The first operator that is no cast of a weight, if there is one."""
    reads = (n for n in region.nodes if any(s.op != "get_attr" for s in n.all_input_nodes))
    return next(reads, region.nodes[0])


def _others(region: Region) -> Iterator[Node]:
    return (node for node in region.inputs if node is not _data(region) and node.op != "get_attr")


def _weights(region: Region) -> Iterator[Node]:
    return (node for node in region.inputs if node.op == "get_attr")


def _is_image(node: Node) -> bool:
    shape = node_spec(node).shape
    return len(shape) == 4 and shape[2] > 1


def of_rows(region: Region, rows: int) -> Region:
    """The region for images of `rows` rows instead; windows over rows are not padded any more."""
    graph = Graph()
    copies: dict[Node, Node] = {}
    for node in region.inputs:
        copy = graph.create_node(node.op if node.op == "get_attr" else "placeholder", node.name)
        copy.meta = dict(node.meta)
        if node.op != "get_attr" and _is_image(node):
            value = node.meta["val"]
            copy.meta["val"] = value.new_empty((*value.shape[:2], rows, *value.shape[3:]))
        copies[node] = copy
    for node in region.nodes:
        args = map_arg(node.args, copies.__getitem__)
        if (options := _options(node)) is not None:
            padding = (0, options.padding[1])
            bias = args[2] if len(args) > 2 else None
            args = (*args[:2], bias, options.stride, padding, options.dilation, options.groups)
        kwargs = map_arg(node.kwargs, copies.__getitem__)
        copy = graph.create_node("call_function", node.target, args, kwargs)
        given: Any = map_arg(args, lambda n: n.meta["val"])
        named: Any = map_arg(kwargs, lambda n: n.meta["val"])
        copy.meta = {**node.meta, "val": node.target(*given, **named)}  # type: ignore[operator]
        copies[node] = copy
    nodes = tuple(copies[node] for node in region.nodes)
    inputs = tuple(copies[node] for node in region.inputs)
    anchor = copies[region.anchor] if region.anchor is not None else None
    return Region(nodes, inputs, (nodes[-1],), anchor)
