"""What the integers of quantized nodes stand for, read from `quantized_decomposed` operators."""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.ao.quantization.fx._decomposed  # registers quantized_decomposed
from torch import Tensor
from torch.fx import Node
from torch.fx.node import map_arg

from ...compiler.errors import CompileError
from ...compiler.ir.program import Program, origin_of
from ...compiler.ir.rewrite import arguments_of, insert_call
from ...compiler.quantization import dynamic
from ...compiler.quantization.scales import QuantizedRange

_ATEN = torch.ops.aten
DECOMPOSED = torch.ops.quantized_decomposed
QUANTIZE = DECOMPOSED.quantize_per_tensor.default
DEQUANTIZE = DECOMPOSED.dequantize_per_tensor.default
NOT_QUANTIZED = "an operand is not quantized"
DEQUANTIZE_CHANNELS = DECOMPOSED.dequantize_per_channel.default
DEQUANTIZE_GROUPS = torch.ops.penjing.dequantize_groups.default


@dataclass(frozen=True)
class Quantized:
    """A node of int8 and what its integers stand for."""

    node: Node
    range: QuantizedRange


@dataclass(frozen=True)
class QuantizedWeight:
    """A constant of int8, real = scales * integers along `axis`."""

    integers: Tensor
    scales: Tensor  # float64, one, or one for each index on `axis`
    axis: int

    def per_output(self) -> Tensor | None:
        """The scale of each index on axis 0; None if they run along another axis."""
        if self.scales.numel() == 1:
            return self.scales.expand(len(self.integers))
        return self.scales if self.axis == 0 else None

    def transposed(self) -> "QuantizedWeight":
        """A matrix the other way around; anything else as it is."""
        if self.integers.dim() != 2:
            return self
        return QuantizedWeight(self.integers.t().contiguous(), self.scales, 1 - self.axis)


@dataclass(frozen=True)
class GroupedWeight:
    """A constant matrix [O, I] as `penjing::dequantize_groups` reads it."""

    weight: Tensor  # int8, or uint8 of two integers each
    scales: Tensor  # [O, groups]

    def why_not_dynamic(self) -> str:
        """Why there is no product with integers quantized at run time; "" if there is."""
        if self.weight.dtype != torch.uint8:
            return "its weight has 8 bits and steps for groups"
        most, size = dynamic.MOST_GROUP, 2 * self.weight.shape[1] // self.scales.shape[1]
        return f"its weight has groups of more than {most}" if size > most else ""


@dataclass(frozen=True)
class Target:
    """What a float value becomes: round(clamp(factor * root, low, high)) in steps of `range`.

    Everything between `root` and the `quantize` node is read by nothing else.
    """

    quantize: Node
    root: Node
    range: QuantizedRange
    factor: float
    low: int
    high: int

    @property
    def bounds(self) -> tuple[int, int, int]:
        """Zero point, least and greatest integer, as the operators take them."""
        return self.range.zero_point, self.low, self.high


def range_of(node: Node) -> QuantizedRange | None:
    """The range that a quantize or dequantize node of int8 names; None for other dtypes."""
    arguments = arguments_of(node)
    if arguments["dtype"] is not torch.int8:
        return None
    try:
        return QuantizedRange(
            arguments["scale"],
            arguments["zero_point"],
            arguments["quant_min"],
            arguments["quant_max"],
        )
    except CompileError as error:
        raise CompileError(
            error.what, at=str(origin_of(node)), got=error.got, fix="calibrate this value again"
        ) from error


def quantized(value: Any) -> Quantized | None:
    """The int8 node that a float value is made from, None if it is made otherwise."""
    if not isinstance(value, Node) or value.target is not DEQUANTIZE:
        return None
    found, source = range_of(value), value.args[0]
    return Quantized(source, found) if found and isinstance(source, Node) else None


def dequantized(before: Node, node: Node, of: QuantizedRange) -> Node:
    """A new node in front of `before`: the real values of an int8 node."""
    return insert_call(
        before, DEQUANTIZE, node, of.scale, of.zero_point, of.low, of.high, torch.int8
    )


def quantized_again(before: Node, value: Node, of: QuantizedRange) -> Node:
    """A new node in front of `before`: the integers of a float value."""
    return insert_call(
        before, QUANTIZE, value, of.scale, of.zero_point, of.low, of.high, torch.int8
    )


def constant(program: Program, value: Any) -> Tensor | None:
    """The value of a node that depends on weights alone; None for every other."""
    if not isinstance(value, Node) or value.op not in ("get_attr", "call_function"):
        return None
    if value.op == "get_attr":
        return program.weight(value).detach()
    operands: dict[Node, Tensor] = {}
    for source in value.all_input_nodes:
        operand = constant(program, source)
        if operand is None:  # at once: the graph before may have very many paths
            return None
        operands[source] = operand
    if not operands:
        return None
    args, kwargs = map_arg((value.args, value.kwargs), operands.__getitem__)
    with torch.no_grad():
        result = value.target(*args, **kwargs)  # type: ignore[operator]
    return result if isinstance(result, Tensor) else None


def add_constant(program: Program, like: Node, name: str, value: Tensor) -> Node:
    """A new weight beside those of the module that a node comes from."""
    stem = origin_of(like).module_path or "integers"
    return program.add_weight(value, f"{stem}.{name}", like=like)


def quantized_weight(program: Program, value: Any) -> QuantizedWeight | None:
    """The constant that a dequantize node widens, if its zero points are 0 or can be made so.

    A matrix may be turned around after it is widened.
    """
    if isinstance(value, Node) and value.target is _ATEN.permute.default:
        turned = quantized_weight(program, value.args[0]) if value.args[1] == [1, 0] else None
        return None if turned is None else turned.transposed()
    if not isinstance(value, Node) or value.target not in (DEQUANTIZE, DEQUANTIZE_CHANNELS):
        return None
    arguments = arguments_of(value)
    integers = constant(program, arguments["input"])
    if integers is None:
        return None
    if value.target is DEQUANTIZE:
        scales = torch.tensor([arguments["scale"]], dtype=torch.float64)
        zero_points, axis = torch.tensor([arguments["zero_point"]]), 0
    else:
        known = constant(program, arguments["scales"])
        if known is None:
            return None
        scales, axis = known.double(), arguments["axis"] % integers.dim()
        zeros = constant(program, arguments["zero_points"])
        zero_points = torch.zeros(len(scales)) if zeros is None else zeros
    along = [-1 if dim == axis and len(scales) > 1 else 1 for dim in range(integers.dim())]
    moved = integers.long() - zero_points.long().view(along)
    if moved.numel() and (moved.min() < -128 or moved.max() > 127):
        return None
    return QuantizedWeight(moved.to(torch.int8), scales, axis)


def grouped_weight(program: Program, value: Any) -> GroupedWeight | None:
    """The constants of a node that widens integers with steps for groups."""
    if not isinstance(value, Node) or value.target is not DEQUANTIZE_GROUPS:
        return None
    weight, scales = (constant(program, part) for part in value.args)
    return None if weight is None or scales is None else GroupedWeight(weight, scales)


def target_of(quantize: Node) -> Target | str:
    """What a quantize node rounds, seen through clamps and numbers; or why it cannot be seen."""
    found, node = range_of(quantize), quantize.args[0]
    assert isinstance(node, Node)
    if found is None:
        return f"integers of {arguments_of(quantize)['dtype']}"
    low, high, factor = -math.inf, math.inf, 1.0
    while (step := _step(node)) is not None and len(node.users) == 1:
        # clamp(factor * (number * source clamped to limits), low, high)
        limits = sorted(factor * limit for limit in step.limits)
        low, high = (min(max(limit, low), high) for limit in limits)
        factor, node = factor * step.number, step.source
    if len(node.users) > 1 and node.op == "call_function" and node.target is not DEQUANTIZE:
        return f"the value of {node.name} is also read in floating point"
    return Target(quantize, node, found, factor, *found.bounds(low, high))


@dataclass(frozen=True)
class _Step:
    """A node that computes clamp(number * source), finite numbers only."""

    source: Node
    number: float
    limits: tuple[float, float]


def _step(node: Node) -> _Step | None:
    """A node as clamp(number * source), if it is one."""
    source, *others = node.args if node.args else (None,)
    if not isinstance(source, Node):
        return None
    unlimited = (-math.inf, math.inf)
    if node.target is _ATEN.relu.default:
        return _Step(source, 1.0, (0.0, math.inf))
    if node.target is _ATEN.clamp.default:
        arguments = arguments_of(node)
        low, high = arguments["min"], arguments["max"]
        limits = (-math.inf if low is None else low, math.inf if high is None else high)
        return _Step(source, 1.0, limits) if limits[0] <= limits[1] else None
    number = others[0] if others else None
    if not isinstance(number, (int, float)) or not math.isfinite(number) or not number:
        return None
    if node.target is _ATEN.mul.Tensor:
        return _Step(source, float(number), unlimited)
    return _Step(source, 1 / number, unlimited) if node.target is _ATEN.div.Tensor else None
