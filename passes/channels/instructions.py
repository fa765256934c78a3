"""Estimates the instructions that our kernels execute for a node, from its shapes.

The model is that of the register tiles (targets/cpu/tiles.py): whole vectors of columns, tiles of
rows and columns, loads beside the multiply-adds. benchmarks/staircase.py compares it with counts.
"""

from collections.abc import Callable
from functools import lru_cache
from math import prod
from typing import TypeAlias

import torch
from torch.fx import Node

from ...compiler.ir.op_kinds import Kind, kind_of
from ...compiler.ir.program import node_specs
from ...compiler.ir.rewrite import arguments_of
from ...compiler.ir.tensor_spec import TensorSpec
from ...compiler.macs import macs
from ...targets.cpu.tiles import Tile, is_arm, product_tile
from ...targets.target import Target

SpecOf: TypeAlias = Callable[[Node], TensorSpec | tuple[TensorSpec | None, ...]]

_ATEN = torch.ops.aten
_CONVOLUTIONS = (_ATEN.conv1d.default, _ATEN.conv2d.default, _ATEN.conv3d.default)
_TRANSPOSED = (
    _ATEN.conv_transpose1d.default,
    _ATEN.conv_transpose2d.input,
    _ATEN.conv_transpose3d.input,
)
_ATTENTION = _ATEN.scaled_dot_product_attention.default
# Counted in disassembled kernels for the Cortex-A72.
_EDGE = 2.7  # per accumulator of a tile: clear, add a bias, store
_TILE = 12  # per tile: loops, addresses
_LOOP = 3  # per block of steps
_TAP = 2.15  # per tap of a depthwise window and vector of channels: multiply-add, shared loads
_VECTOR = 4  # per vector of a result that is computed element by element
_PARTIAL = 2.4  # vectors that part of a vector costs in a depthwise window, and in what follows it


def instructions(node: Node, target: Target, spec_of: SpecOf = node_specs) -> float:
    """Instructions of one call; 0 for what moves no data, and for weights."""
    if node.op != "call_function" or not isinstance(spec_of(node), TensorSpec):
        return macs(node, spec_of) / target.lanes(32)
    out = _shape(node, spec_of)
    lanes = target.lanes(32)
    if node.target in _CONVOLUTIONS:
        source, weight = (_operand(node, index, spec_of) for index in (0, 1))
        return _convolution(target, out, source, weight, _strides(node))
    if node.target is _ATTENTION:
        query, key, value = (_operand(node, index, spec_of) for index in range(3))
        heads, rows = prod(query[:-2]), query[-2]
        scores = _product(target, rows, key[-2], query[-1])
        return heads * (scores + _product(target, rows, value[-1], key[-2]))
    work = macs(node, spec_of)
    if node.target in _TRANSPOSED:
        return work / lanes
    if work:  # a product
        depth = max(1, work // max(1, prod(out)))
        columns = out[-1] if out else 1
        return _product(target, prod(out[:-1]), columns, depth)
    if kind_of(node) in (Kind.ELEMENTWISE, Kind.REDUCE, Kind.ANCHOR):
        return _VECTOR * prod(out[:1] + out[2:]) * -(-_channels(out) // lanes)
    return 0.0


def _convolution(
    target: Target,
    out: tuple[int, ...],
    source: tuple[int, ...],
    weight: tuple[int, ...],
    strides: set[int],
) -> float:
    space, window = len(weight) - 2, prod(weight[2:])
    channels, inputs = out[-space - 1], source[-space - 1]
    if not (channels and inputs and weight[1]):
        return 0.0
    positions, groups = prod(out) // channels, inputs // weight[1]
    if weight[1] == 1 and groups > 1:
        full, part = divmod(channels, target.lanes(32))
        return positions * (full + _PARTIAL * bool(part)) * (window * _TAP + _VECTOR)
    direct = groups * _product(target, positions, channels // groups, weight[1] * window)
    if groups > 1 or weight[2:] != (3, 3) or strides != {1}:
        return direct
    images = prod(out[:-3])
    return min(direct, _winograd(target, images, (out[-2], out[-1]), weight[1], channels))


@lru_cache(maxsize=4096)
def _winograd(
    target: Target, images: int, sizes: tuple[int, int], depth: int, channels: int
) -> float:
    """Instructions of a 3x3 convolution by Winograd's algorithm, with the cheaper tile."""
    from ...targets.cpu.winograd.plan import winograd_plan  # TVM takes a second to import

    plans = (winograd_plan(target, tile, images, sizes, depth, channels) for tile in (4, 2))
    return min(plan.cost(target) for plan in plans)


def _strides(node: Node) -> set[int]:
    """Strides and dilations of a convolution."""
    arguments = arguments_of(node)
    return {*arguments["stride"], *arguments["dilation"]}


def _product(target: Target, rows: int, columns: int, depth: int) -> float:
    """Instructions of [rows, depth] x [depth, columns]."""
    if not (rows and columns and depth):
        return 0.0
    lanes = target.lanes(32)
    tile = product_tile(target, rows, columns, depth)
    vectors, wanted = tile.columns // lanes, -(-columns // lanes)
    total = 0.0
    for height, many in ((tile.rows, rows // tile.rows), (rows % tile.rows, 1)):
        for width, wide in ((vectors, wanted // vectors), (wanted % vectors, 1)):
            if height and width:
                total += many * wide * _tile(target, tile, height, width, depth)
    return total


def _tile(target: Target, tile: Tile, rows: int, vectors: int, depth: int) -> float:
    loads = rows / 4 + vectors / 2 if is_arm(target) else vectors
    step = rows * vectors + loads + _LOOP / tile.steps
    return depth * step + _EDGE * rows * vectors + _TILE


def _shape(node: Node, spec_of: SpecOf) -> tuple[int, ...]:
    spec = spec_of(node)
    assert isinstance(spec, TensorSpec), node
    return spec.shape


def _operand(node: Node, index: int, spec_of: SpecOf) -> tuple[int, ...]:
    source = node.args[index]
    assert isinstance(source, Node), node
    return _shape(source, spec_of)


def _channels(shape: tuple[int, ...]) -> int:
    return shape[1] if len(shape) > 1 else 1
