"""Lets operators read weights that are stored as integers and widened where they are used."""

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of, insert_call, shape_of
from ...compiler.quantization import packed_weights as packed_weights
from .group_rounding import GroupedWeight
from .insert import nearest, weight_scales

_ATEN = torch.ops.aten
_DEQUANTIZE = torch.ops.penjing.dequantize_groups.default


def round_groups_of(program: Program, layer: Node, weight: GroupedWeight, bits: int) -> None:
    """Let a layer read a weight that is stored as a matrix [O, I...] of 4 or 8 bits."""
    node = arguments_of(layer)["weight"]
    layer.replace_input_with(node, store_groups(program, layer, node, weight, bits))


def store_groups(
    program: Program, before: Node, node: Node, weight: GroupedWeight, bits: int
) -> Node:
    """A new node in front of `before` for a weight: a matrix [O, I...] of 4 or 8 bits."""
    integers = packed_weights.pack_int4(weight.integers) if bits == 4 else weight.integers
    parts = ((integers, f"int{bits}"), (weight.scales, "scales"))
    stored = [
        program.add_weight(part, f"{node.target}_{name}", like=before) for part, name in parts
    ]
    wide = insert_call(before, _DEQUANTIZE, *stored)
    if shape_of(wide) == shape_of(node):
        return wide
    return insert_call(before, _ATEN.reshape.default, wide, list(shape_of(node)))


def round_table(program: Program, lookup: Node) -> None:
    """Let an embedding read rows of int8, with a step for each row, and widen what it reads."""
    arguments = arguments_of(lookup)
    table, indices = arguments["weight"], arguments["indices"]
    weight: Tensor = program.weight(table).detach()
    scales = weight_scales(weight, 8)
    parts = ((nearest(weight, scales, 8), "int8"), (scales[:, None], "scales"))
    stored = [
        program.add_weight(part, f"{table.target}_{name}", like=lookup) for part, name in parts
    ]
    rows, steps = (insert_call(lookup, _ATEN.embedding.default, part, indices) for part in stored)
    wide = insert_call(lookup, _ATEN._to_copy.default, rows, dtype=torch.float32)
    value = insert_call(lookup, _ATEN.mul.Tensor, wide, steps)
    lookup.replace_all_uses_with(value)
    program.graph.erase_node(lookup)
