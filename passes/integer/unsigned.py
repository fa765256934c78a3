"""Activations of uint8 as int8: 128 is subtracted from integers and zero points alike."""

import torch
from torch.fx import Node

from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of, insert_call, replace_by
from ...compiler.quantization import ops as ops
from .moves import MOVES
from .values import DEQUANTIZE, QUANTIZE

_PENJING = torch.ops.penjing
_PADS = {torch.ops.aten.pad.default, torch.ops.aten.constant_pad_nd.default}
_OFFSET = 128


def make_signed(program: Program) -> int:
    """Exchange uint8 for int8 in quantize and dequantize nodes, and in moves between them.

    Returns:
        The number exchanged.
    """
    count = 0
    for node in list(program.graph.nodes):
        if node.target in MOVES or node.target in _PADS:
            count += _move(node)
        if node.target not in (QUANTIZE, DEQUANTIZE):
            continue
        if arguments_of(node)["dtype"] is torch.uint8:
            (_quantize if node.target is QUANTIZE else _dequantize)(node)
            count += 1
    return count


def _move(node: Node) -> bool:
    """Rewrite move(unsigned(x)) to unsigned(move(x)) at a node, if it is one."""
    source = node.args[0]
    if not isinstance(source, Node) or source.target is not _PENJING.unsigned_int8.default:
        return False
    others, named = list(node.args[1:]), dict(node.kwargs)
    if node.target in _PADS:
        arguments = arguments_of(node)
        if arguments.get("mode", "constant") == "constant":
            value = int(arguments["value"] or 0) - _OFFSET
            mode = ["constant"] if "mode" in arguments else []
            others, named = [arguments["pad"], *mode, value], {}
    moved = insert_call(node, node.target, source.args[0], *others, **named)
    replace_by(node, insert_call(node, _PENJING.unsigned_int8.default, moved))
    return True


def _quantize(node: Node) -> None:
    value = insert_call(node, QUANTIZE, node.args[0], *_signed(node))
    replace_by(node, insert_call(node, _PENJING.unsigned_int8.default, value))


def _dequantize(node: Node) -> None:
    source = node.args[0]
    assert isinstance(source, Node)
    if source.target is _PENJING.unsigned_int8.default:
        value = source.args[0]
    else:
        value = insert_call(node, _PENJING.signed_int8.default, source)
    replace_by(node, insert_call(node, DEQUANTIZE, value, *_signed(node), **node.kwargs))


def _signed(node: Node) -> tuple[object, ...]:
    """The parameters of the integers that are 128 less."""
    arguments = arguments_of(node)
    moved = (arguments[name] - _OFFSET for name in ("zero_point", "quant_min", "quant_max"))
    return (arguments["scale"], *moved, torch.int8)
