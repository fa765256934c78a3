"""Exchanges quantize and dequantize nodes for operators that can be trained, and back."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

from ...compiler.ir.program import Program, node_spec, origin_of
from ...compiler.ir.rewrite import arguments_of, insert_call, replace_by
from ...compiler.pass_report import PassReport
from ...compiler.quantization.learned_steps import channel_integers, step_of, zero_point_of
from ...compiler.quantization.scales import QuantizedRange
from ...compiler.training import keep_zeros, zeros_stay
from ..integer.unsigned import make_signed
from ..integer.values import (
    DEQUANTIZE,
    DEQUANTIZE_CHANNELS,
    QUANTIZE,
    QuantizedWeight,
    dequantized,
    quantized_again,
    quantized_weight,
    range_of,
)
from .annotate import keeps_range
from .insert import rounded
from .layers import along

_ROUND_VALUES = torch.ops.penjing.round_values.default
_ROUND_CHANNELS = torch.ops.penjing.round_channels.default
_CHANNEL_ARGUMENTS = ("weight", "growth", "scales", "axis", "low", "high")
_SELECTIONS = {torch.ops.aten.maximum.default, torch.ops.aten.minimum.default}
_CELL = 0.499  # steps on either side of an integer that are rounded to it


def learn_steps(
    program: Program,
    originals: Mapping[Node, Tensor],
    report: PassReport,
    *,
    steps: bool = True,
    zero_points: bool = False,
) -> int:
    """Make rounding trainable, in place; every value stays as it is.

    Weights become parameters: what they were, each as near as it rounds to the integer it has.

    Args:
        program: With quantize and dequantize nodes.
        originals: Weights of layers before they were rounded, as far as they are known.
        report: Gets what cannot be trained.
        steps: Whether steps are parameters.
        zero_points: Whether zero points are.

    Returns:
        The number of values and weights.
    """
    make_signed(program)
    program.drop_dead()
    weights = _rounded_weights(program)
    for node, weight in weights.items():
        known = [originals[layer] for layer in node.users if layer in originals]
        _learn_weight(program, node, weight, known[0] if known else None, steps)
    values = _rounded_values(program, report)
    for members in _groups(values):
        stem = origin_of(members[0]).module_path or members[0].name
        growth, shift = (
            _parameter(program, members[0], f"{stem}.{name}", torch.zeros(()), learned)
            for name, learned in (("growth", steps), ("shift", zero_points))
        )
        for node in members:
            _learn_value(node, values[node], growth, shift)
    program.drop_dead()
    return len(weights) + len(values)


def settle_steps(program: Program) -> dict[Node, QuantizedRange]:
    """Exchange trainable rounding for quantize and dequantize nodes; every value stays as it is.

    Returns:
        The quantize nodes and their steps.
    """
    ranges = {}
    for node in program.graph.find_nodes(op="call_function", target=_ROUND_VALUES):
        value, found = node.args[0], _range_now(program, node)
        assert isinstance(value, Node), node.format_node()
        integers = quantized_again(node, value, found)
        replace_by(node, dequantized(node, integers, found))
        ranges[integers] = found
    for node in program.graph.find_nodes(op="call_function", target=_ROUND_CHANNELS):
        _settle_weight(program, node)
    program.drop_dead()
    return ranges


def _settle_weight(program: Program, node: Node) -> None:
    real, growth, scales, *limits = (arguments_of(node)[name] for name in _CHANNEL_ARGUMENTS)
    with torch.no_grad():
        steps = step_of(program.weight(growth), program.weight(scales))
        integers = channel_integers(program.weight(real), steps, *limits).to(torch.int8)
    replace_by(node, rounded(program, node, real, integers, steps, limits[0]))


def _rounded_weights(program: Program) -> dict[Node, QuantizedWeight]:
    """Dequantize nodes of constants of int8, with what they hold."""
    found = {}
    for node in program.graph.nodes:
        if node.target not in (DEQUANTIZE, DEQUANTIZE_CHANNELS):
            continue
        source = node.args[0]
        weight = quantized_weight(program, node)
        if weight is not None and source.target is not QUANTIZE and weight.integers.dim() > 1:
            found[node] = weight
    return found


def _learn_weight(
    program: Program, node: Node, weight: QuantizedWeight, original: Tensor | None, steps: bool
) -> None:
    integers, axis = weight.integers.float(), weight.axis
    scales = weight.scales.float().expand(integers.shape[axis]).contiguous()
    wide = along(axis, scales, integers.dim())
    inner = 0.0 if original is None else (original / wide - integers).clamp(-_CELL, _CELL)
    stem = _stem(node)
    latent = program.add_weight(nn.Parameter((integers + inner) * wide), stem, like=node)
    if any(zeros_stay(source) for source in node.all_input_nodes):
        keep_zeros(program, latent)
    growth = _parameter(program, node, f"{stem}_growth", torch.zeros_like(scales), steps)
    starts = program.add_weight(scales, f"{stem}_steps", like=node)
    low, high = _ends(weight.integers)
    share = 1 / math.sqrt(integers.numel() / len(scales) * high)
    arguments = latent, growth, starts, axis, low, high, share
    replace_by(node, insert_call(node, _ROUND_CHANNELS, *arguments))


def _ends(integers: Tensor) -> tuple[int, int]:
    """The least and the greatest integer of as few bits as hold these."""
    least, greatest = int(integers.min()), int(integers.max())
    high = 2 ** max(greatest, -least - 1, 1).bit_length() - 1
    return min(least, -high), high


def _stem(node: Node) -> str:
    """The name of the weight that a dequantize node stands for."""
    source = next((n for n in node.all_input_nodes if n.op == "get_attr"), None)
    return "weight" if source is None else str(source.target).removesuffix("_int8")


def _parameter(program: Program, like: Node, name: str, value: Tensor, learned: bool) -> Node:
    return program.add_weight(nn.Parameter(value, requires_grad=learned), name, like=like)


def _rounded_values(program: Program, report: PassReport) -> dict[Node, QuantizedRange]:
    """Quantize nodes whose integers are only dequantized, in the same steps."""
    found = {}
    for node in program.graph.find_nodes(op="call_function", target=QUANTIZE):
        steps = range_of(node)
        if steps is None:
            report.skip(node, f"integers of {arguments_of(node)['dtype']}")
        elif all(user.target is DEQUANTIZE and range_of(user) == steps for user in node.users):
            found[node] = steps
        else:
            report.skip(node, "its integers are read otherwise than by dequantize nodes")
    return found


def _groups(values: Mapping[Node, QuantizedRange]) -> list[list[Node]]:
    """The quantize nodes that keep equal steps: of what moves and joins values, and of these."""
    group = {node: [node] for node in values}
    for node in values:
        for other in _moved_by(node.args[0]):
            if values.get(other) == values[node] and group[other] is not group[node]:
                joined = group[other] + group[node]
                group.update(dict.fromkeys(joined, joined))
    return list({id(members): members for members in group.values()}.values())


def _moved_by(value: Any) -> Iterator[Node]:
    """The quantize nodes whose elements a value holds, and no others."""
    if not isinstance(value, Node):
        return
    if value.target is DEQUANTIZE:
        yield value.args[0]  # type: ignore[misc]
    elif keeps_range(value) or value.target in _SELECTIONS:
        for source in value.all_input_nodes:
            yield from _moved_by(source)


def _learn_value(node: Node, found: QuantizedRange, growth: Node, shift: Node) -> None:
    share = 1 / math.sqrt(max(node_spec(node).size, 1) * (found.high - found.low))
    ends = found.low, found.high
    arguments = node.args[0], growth, shift, found.scale, found.zero_point, *ends, share
    real = insert_call(node, _ROUND_VALUES, *arguments)
    for reader in list(node.users):
        replace_by(reader, real)


def _range_now(program: Program, node: Node) -> QuantizedRange:
    arguments = arguments_of(node)
    growth, shift = (program.weight(arguments[name]) for name in ("growth", "shift"))
    low, high = arguments["low"], arguments["high"]
    with torch.no_grad():
        scale = float(step_of(growth, arguments["scale"]))
        zero_point = int(zero_point_of(shift, arguments["zero_point"], low, high))
    return QuantizedRange(scale, zero_point, low, high)
