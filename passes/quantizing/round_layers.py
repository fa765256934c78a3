"""Rounds the weights of layers whose inputs are rounded already."""

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.batches import Batches
from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of
from .adaptive_rounding import round_adaptively
from .correct_bias import operands
from .group_rounding import damped, round_in_order
from .insert import nearest, round_weight, weight_scales
from .layers import compute, fits_rows, output_axis
from .moments import observe_moments
from .observe import watch
from .prepare import check_finite

Method = Literal["nearest", "gptq", "adaround"]
_MOST_SAMPLES = 4096  # rows of linear layers, times 16 of other layers


def round_layers(
    program: Program,
    layers: list[Node],
    bits: int,
    method: Method,
    batches: Batches,
    progress: Callable[[float], None],
) -> dict[Node, Tensor]:
    """Round the weights of layers, with a step for each output channel.

    Args:
        program: Its values are rounded already.
        layers: With weights of their own.
        bits: Of integers, without a least one that has no opposite.
        method: "nearest", "gptq" (the nearest where a layer has groups) or "adaround".
        batches: Calibration data, for all but the nearest.
        progress: Called with the fraction of the data that was seen.

    Returns:
        What the weights were.
    """
    samples, moments = {}, {}
    if method == "gptq":
        fitting = [layer for layer in layers if fits_rows(layer)]
        moments = observe_moments(program, fitting, batches, progress)
    elif method == "adaround":
        samples = _samples(program, layers, batches, progress)
    originals = {}
    for layer in layers:
        weight = program.weight(arguments_of(layer)["weight"]).detach()
        check_finite(layer, weight)
        axis = output_axis(layer)
        scales = weight_scales(weight, bits, axis)
        if layer in moments:
            known, rows = damped(moments[layer].scatter), weight.flatten(1)
            rounded = round_in_order(rows, scales[:, None], known, bits, is_even=True)
            integers = rounded.reshape(weight.shape)
        elif layer in samples:
            real, x = samples[layer]
            wanted = compute(layer, real, weight)
            integers = round_adaptively(layer, weight, scales, bits, axis, x, wanted)
        else:
            integers = nearest(weight, scales, bits, axis)
        originals[layer] = weight.clone()
        round_weight(program, layer, integers, scales, axis)
    return originals


def _samples(
    program: Program,
    layers: list[Node],
    batches: Batches,
    progress: Callable[[float], None],
) -> dict[Node, list[Tensor]]:
    """Samples of what each layer reads, before and after it is rounded."""
    pairs = {layer: operands(layer) for layer in layers}
    nodes = list(dict.fromkeys(node for pair in pairs.values() for node in pair))
    linear = torch.ops.aten.linear.default
    reads_rows = {node for layer, pair in pairs.items() if layer.target is linear for node in pair}
    parts: dict[Node, list[Tensor]] = {node: [] for node in nodes}
    share = max(_MOST_SAMPLES // len(batches), 1)

    def add(node: Node, value: Tensor) -> None:
        rows = value.detach().flatten(0, -2) if node in reads_rows else value.detach()
        count = share if node in reads_rows else max(share // 16, 1)
        spread = torch.linspace(0, len(rows) - 1, min(count, len(rows))).long()
        parts[node].append(rows[spread].clone())

    watch(program, batches, nodes, add, progress)
    return {layer: [torch.cat(parts[node]) for node in pair] for layer, pair in pairs.items()}
