"""Values whose channels may change size, and who can change it."""

from dataclasses import dataclass

import torch
from torch.fx import Node

from ...compiler.ir.program import Program, origin_of
from ...compiler.ir.rewrite import arguments_of, shape_of, weight_of
from ..integer.products import LAYERS
from .annotate import Annotation
from .layers import NORMS, channel_axis, reads_channels

_ATEN = torch.ops.aten
# f(s x) = s f(x) for all s > 0, channel by channel.
_HOMOGENEOUS = {
    _ATEN.relu.default,
    _ATEN.leaky_relu.default,
    _ATEN.max_pool1d.default,
    _ATEN.max_pool2d.default,
    _ATEN.avg_pool1d.default,
    _ATEN.avg_pool2d.default,
    _ATEN.adaptive_avg_pool1d.default,
    _ATEN.adaptive_avg_pool2d.default,
}


@dataclass(frozen=True)
class Channels:
    """A value whose channels can change size, with all layers that read it.

    `maker` is the layer or norm that can divide by the sizes; None if only a multiplication can.
    """

    value: Node
    maker: Node | None
    readers: tuple[Node, ...]
    axis: int

    @property
    def name(self) -> str:
        """The module path of the first reader."""
        return origin_of(self.readers[0]).module_path


def find_channels(program: Program, annotation: Annotation) -> list[Channels]:
    """All values that layers read, and whose channels a layer, a norm or a factor can change."""
    absorbed = _absorbed(program, annotation)
    return absorbed + _multiplied(annotation, {channels.value for channels in absorbed})


def _absorbed(program: Program, annotation: Annotation) -> list[Channels]:
    """What layers and norms make for layers alone."""
    layers = {layer for layer in annotation.layers if layer.target in LAYERS}
    found = []
    for maker in program.graph.nodes:
        if maker.target not in LAYERS | NORMS or not _has_constants(program, maker):
            continue
        readers: list[Node] = []
        value = _follow(maker, layers, readers)
        if value is not None and readers:
            axis = channel_axis(readers[0])
            found.append(Channels(value, maker, tuple(readers), axis))
    return found


def _follow(node: Node, layers: set[Node], readers: list[Node]) -> Node | None:
    """The last value before layers, which are added to `readers`; None if others read it too."""
    users = list(node.users)
    if len(users) == 1 and _keeps_channels(users[0]):
        return _follow(users[0], layers, readers)
    if not all(u in layers and u.args[0] is node and reads_channels(u) for u in users):
        return None
    if len({channel_axis(user) % len(shape_of(node)) for user in users}) != 1:
        return None
    readers += users
    return node


def _keeps_channels(node: Node) -> bool:
    if node.target in _HOMOGENEOUS:
        return True
    if node.target is not _ATEN.reshape.default:
        return False
    before, after = shape_of(node.args[0]), shape_of(node)  # type: ignore[arg-type]
    return len(after) == 2 and before == (*after, *[1] * (len(before) - 2))


def _multiplied(annotation: Annotation, absorbed: set[Node]) -> list[Channels]:
    """Real values that linear layers read."""
    layers = {layer for layer in annotation.layers if layer.target in LAYERS}
    found = []
    for rounding in annotation.roundings:
        readers = rounding.readers
        is_read = all(r in layers and r.target is _ATEN.linear.default for r in readers)
        is_made = rounding.value.op == "call_function" and rounding.is_real
        if is_made and is_read and rounding.value not in absorbed:
            found.append(Channels(rounding.value, None, tuple(readers), -1))
    return found


def _has_constants(program: Program, node: Node) -> bool:
    """Whether weight and bias are weights, the first is there, and channels are one axis."""
    arguments = arguments_of(node)
    weight, bias = arguments.get("weight"), arguments.get("bias")
    if weight_of(program, weight) is None:
        return False
    if bias is not None and weight_of(program, bias) is None:
        return False
    return node.target in LAYERS or len(arguments["normalized_shape"]) == 1
