"""Moves the size of channels from activations into weights, where it costs less precision.

A value has one step for all channels, which the largest decides; weights have more. A layer reads
x / s and multiplies by s w, which is the same. What makes x can divide by s itself if nothing but
positive factors pass between: cross-layer equalization (Nagel et al. 2019). Where it cannot, x is
multiplied by 1 / s: SmoothQuant (Xiao et al. 2023), after functions too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.batches import Batches
from ...compiler.ir.program import Program, origin_of
from ...compiler.ir.rewrite import arguments_of, change_weight, insert_call, shape_of, weight_of
from ..integer.products import LAYERS
from .annotate import Annotation
from .insert import nearest, weight_scales
from .layers import NORMS, along, along_input, by_input, channel_axis, compute, reads_channels
from .observe import watch

_ATEN = torch.ops.aten
_STRENGTHS = (0.5, 0.65, 0.8)  # s = |x|^a / |w|^(1 - a), that SmoothQuant's authors use
_SAMPLES = 4  # of each batch, and rows of linear layers, that strengths are compared with
_ROWS = 256
_MOST_ROWS = 2048
_GAIN = 0.9  # of the squared error, that a multiplication more has to reach
_WORTH = 1e-4  # smallest part of the largest channel or weight that counts
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


@dataclass
class _Evidence:
    """What was seen of a value: the largest of each channel, and some samples."""

    largest: Tensor
    samples: list[Tensor]


def migrate(
    program: Program,
    annotation: Annotation,
    batches: Batches,
    bits: tuple[int | None, int],
    progress: Callable[[float], None],
) -> dict[str, float]:
    """Balance all channels that can be, by the strength with the least error of what reads them.

    Args:
        program: Changed in place; its values stay, but for the rounding of float32.
        annotation: What will be rounded.
        batches: Calibration data.
        bits: Of activations, None where they stay real, and of weights.
        progress: Called with the fraction that is done.

    Returns:
        The strength by the module that reads the value.
    """
    found = _absorbed(program, annotation) + _multiplied(program, annotation)
    evidence = _look(program, batches, found, progress)
    chosen = {}
    for channels in found:
        strength, sizes = _strongest(program, channels, evidence[channels.value], bits)
        if sizes is not None:
            _apply(program, channels, sizes)
            chosen[channels.name] = strength
    return chosen


def _absorbed(program: Program, annotation: Annotation) -> list[Channels]:
    """What layers and norms make for layers alone."""
    layers = set(annotation.layers)
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


def _multiplied(program: Program, annotation: Annotation) -> list[Channels]:
    """Real values that linear layers read."""
    absorbed = {c.value for c in _absorbed(program, annotation)}
    layers = set(annotation.layers)
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


def _look(
    program: Program,
    batches: Batches,
    found: Sequence[Channels],
    progress: Callable[[float], None],
) -> dict[Node, _Evidence]:
    evidence: dict[Node, _Evidence] = {}
    axes = {channels.value: channels.axis for channels in found}
    generator = torch.Generator().manual_seed(0)

    def note(node: Node, value: Tensor) -> None:
        axis = axes[node] % value.dim()
        largest = value.detach().transpose(0, axis).flatten(1).abs().amax(1)
        seen = evidence.setdefault(node, _Evidence(largest, []))
        seen.largest = torch.maximum(seen.largest, largest)
        rows = value.flatten(0, -2) if axis == value.dim() - 1 else value
        count = _ROWS if axis == value.dim() - 1 else _SAMPLES
        if sum(len(part) for part in seen.samples) < (_MOST_ROWS * count) // _ROWS:
            drawn = torch.randperm(len(rows), generator=generator)[:count]
            seen.samples.append(rows[drawn].clone())

    if axes:
        watch(program, batches, list(axes), note, progress)
    return evidence


def _strongest(
    program: Program, channels: Channels, evidence: _Evidence, bits: tuple[int | None, int]
) -> tuple[float, Tensor | None]:
    """The strength with the least error, and the sizes [C]; none where nothing is gained."""
    x = torch.cat(evidence.samples)
    weights = [weight_of(program, arguments_of(r)["weight"]) for r in channels.readers]
    used = [w.float() for w in weights if w is not None]
    pairs = list(zip(channels.readers, used, strict=True))
    wanted = [compute(reader, x, weight) for reader, weight in pairs]
    columns = [by_input(reader, weight).flatten(1).abs().amax(1) for reader, weight in pairs]
    heaviest = torch.stack(columns).amax(0)

    def error(sizes: Tensor) -> float:
        small = x / along(channels.axis, sizes, x.dim())
        ends = evidence.largest / sizes
        rounded = small if bits[0] is None else _rounded(small, ends, bits[0])
        total = 0.0
        for (reader, weight), right in zip(pairs, wanted, strict=True):
            moved = along_input(reader, weight, sizes)
            scales = weight_scales(moved, bits[1])
            steps = scales.view(-1, *[1] * (moved.dim() - 1))
            got = compute(reader, rounded, nearest(moved, scales, bits[1]) * steps)
            total += float((got - right).square().sum() / right.square().sum().clamp(min=1e-30))
        return total

    tried = {strength: _sizes(evidence.largest, heaviest, strength) for strength in _STRENGTHS}
    errors = {strength: error(sizes) for strength, sizes in tried.items()}
    best = min(errors, key=errors.__getitem__)
    plain = error(torch.ones_like(heaviest))
    gains = errors[best] < plain * (1.0 if channels.maker is not None else _GAIN)
    return best, tried[best] if gains else None


def _rounded(x: Tensor, largest: Tensor, bits: int) -> Tensor:
    """x in as many steps as there are integers, between its ends; no end is beyond `largest`."""
    top = float(largest.max())
    low = max(min(float(x.min()), 0.0), -top)
    high = top if float(x.max()) > -low else max(float(x.max()), 0.0)
    step = max((high - low) / (2**bits - 1), 1e-30)
    rounded: Tensor = torch.round(x.clamp(low, high) / step) * step
    return rounded


def _sizes(largest: Tensor, heaviest: Tensor, strength: float) -> Tensor:
    """What each channel is divided by, [C]; their geometric mean is 1."""
    largest = largest.clamp(min=float(largest.max()) * _WORTH**2).clamp(min=1e-30)
    heaviest = heaviest.clamp(min=float(heaviest.max()) * _WORTH**2).clamp(min=1e-30)
    logs = strength * largest.double().log() - (1 - strength) * heaviest.double().log()
    sizes: Tensor = (logs - logs.mean()).exp()
    return sizes.float()


def _apply(program: Program, channels: Channels, sizes: Tensor) -> None:
    """Divide the value by `sizes`, and multiply the weights of its readers."""
    for reader in channels.readers:
        node = arguments_of(reader)["weight"]
        _set(program, reader, node, along_input(reader, program.weight(node).detach(), sizes))
    if channels.maker is None:
        _multiply(program, channels, sizes)
        return
    arguments = arguments_of(channels.maker)
    for name in ("weight", "bias"):
        node = arguments.get(name)
        if node is not None:
            value = program.weight(node).detach()
            _set(program, channels.maker, node, value / along(0, sizes, value.dim()))


def _multiply(program: Program, channels: Channels, sizes: Tensor) -> None:
    first = min(channels.readers)
    factors = program.add_weight(1 / sizes, f"{channels.name}.factors", like=first)
    small = insert_call(first, _ATEN.mul.Tensor, channels.value, factors)
    for reader in channels.readers:
        reader.replace_input_with(channels.value, small)


def _set(program: Program, layer: Node, node: Node, value: Tensor) -> None:
    changed = change_weight(program, [layer], node, value)
    if changed is not node:
        layer.replace_input_with(node, changed)
