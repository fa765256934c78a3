"""Moves the size of channels from activations into weights, where it costs less precision.

A value has one step for all channels, which the largest decides; weights have more. A layer reads
x / s and multiplies by s w, which is the same. What makes x can divide by s itself if nothing but
positive factors pass between: cross-layer equalization (Nagel et al. 2019). Where it cannot, x is
multiplied by 1 / s: SmoothQuant (Xiao et al. 2023), after functions too. Where only weights are
rounded, large channels are those whose errors cost most: AWQ (Lin et al. 2024).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.batches import Batches
from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of, change_weight, insert_call, weight_of
from ..integer.products import LAYERS
from .annotate import Annotation
from .insert import nearest, weight_scales
from .layers import (
    along,
    along_input,
    by_input,
    compute,
    output_axis,
)
from .movable import Channels, find_channels
from .observe import watch

_ATEN = torch.ops.aten
_SAMPLES = 4  # of each batch, and rows of linear layers, that strengths are compared with
_ROWS = 256
_MOST_ROWS = 2048
_GAIN = 0.9  # of the squared error, that a multiplication more has to reach
_WORTH = 1e-4  # smallest part of the largest channel or weight that counts


@dataclass(frozen=True, kw_only=True)
class Balance:
    """What may be moved, and how sizes follow from what is seen.

    Args:
        activation_bits: Of values; None where they stay real.
        rounded: What the integers of a layer's weight stand for.
        layers: Move sizes out of layers.
        norms_and_values: Move sizes out of norms, and out of values that can only be multiplied.
        strengths: Of the movement: s = |x|^a / |w|^(1 - a), a as SmoothQuant's authors use.
        by_mean: s = mean(|x|)^a instead, whatever the weights are, as in AWQ.
    """

    activation_bits: int | None
    rounded: Callable[[Node, Tensor], Tensor]
    layers: bool = True
    norms_and_values: bool = True
    strengths: tuple[float, ...] = (0.5, 0.65, 0.8)
    by_mean: bool = False

    def applies(self, channels: Channels) -> bool:
        """Whether sizes may be moved out of what makes these channels."""
        is_layer = channels.maker is not None and channels.maker.target in LAYERS
        return self.layers if is_layer else self.norms_and_values


@dataclass
class _Evidence:
    """What was seen of a value: the largest and the sum of each channel, and some samples."""

    largest: Tensor
    total: Tensor
    samples: list[Tensor]


def migrate(
    program: Program,
    annotation: Annotation,
    batches: Batches,
    balance: Balance,
    progress: Callable[[float], None],
) -> dict[str, float]:
    """Balance all channels that can be, by the strength with the least error of what reads them.

    Args:
        program: Changed in place; its values stay, but for the rounding of float32.
        annotation: What will be rounded.
        batches: Calibration data.
        balance: What may be moved.
        progress: Called with the fraction that is done.

    Returns:
        The strength by the module that reads the value.
    """
    candidates = find_channels(program, annotation)
    found = [channels for channels in candidates if balance.applies(channels)]
    evidence = _look(program, batches, found, progress)
    chosen = {}
    for channels in found:
        strength, sizes = _strongest(program, channels, evidence[channels.value], balance)
        if sizes is not None:
            _apply(program, channels, sizes)
            chosen[channels.name] = strength
    return chosen


def rounded_by_channel(layer: Node, weight: Tensor, *, bits: int) -> Tensor:
    """What a weight with a step for each output channel stands for."""
    axis = output_axis(layer)
    scales = weight_scales(weight, bits, axis)
    return nearest(weight, scales, bits, axis) * along(axis, scales, weight.dim())


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
        sizes = value.detach().transpose(0, axis).flatten(1).abs()
        largest = sizes.amax(1)
        seen = evidence.setdefault(node, _Evidence(largest, torch.zeros_like(largest), []))
        seen.largest = torch.maximum(seen.largest, largest)
        seen.total += sizes.mean(1)
        rows = value.flatten(0, -2) if axis == value.dim() - 1 else value
        count = _ROWS if axis == value.dim() - 1 else _SAMPLES
        if sum(len(part) for part in seen.samples) < (_MOST_ROWS * count) // _ROWS:
            drawn = torch.randperm(len(rows), generator=generator)[:count]
            seen.samples.append(rows[drawn].clone())

    if axes:
        watch(program, batches, list(axes), note, progress)
    return evidence


def _strongest(
    program: Program, channels: Channels, evidence: _Evidence, balance: Balance
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
        bits = balance.activation_bits
        rounded = small if bits is None else _rounded(small, ends, bits)
        total = 0.0
        for (reader, weight), right in zip(pairs, wanted, strict=True):
            moved = along_input(reader, weight, sizes)
            got = compute(reader, rounded, balance.rounded(reader, moved))
            total += float((got - right).square().sum() / right.square().sum().clamp(min=1e-30))
        return total

    ones, seen = torch.ones_like(heaviest), evidence
    tried = {
        a: _sizes(seen.total.pow(a), ones, 1.0)
        if balance.by_mean
        else _sizes(seen.largest, heaviest, a)
        for a in balance.strengths
    }
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
