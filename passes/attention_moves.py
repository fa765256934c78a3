"""Which moves of elements around an attention its kernel does on the way, reading and writing."""

from collections.abc import Callable

import torch
from torch.fx import Node

from ..compiler.ir.op_kinds import Kind, kind_of
from ..compiler.ir.program import node_spec
from ..compiler.ir.rewrite import arguments_of

_ATEN = torch.ops.aten
ATTENTION = _ATEN.scaled_dot_product_attention.default
_PERMUTE = _ATEN.permute.default


def with_moves(attention: Node, is_free: Callable[[Node], bool]) -> set[Node]:
    """The attention, moves that only make its query, key and value, and those of its result.

    The rows of the operands stay contiguous, so that they are read where they lie. The result may
    be permuted, rows kept, and reshaped then.
    """
    inside = {attention}
    while True:
        sources = {source for node in inside for source in _moved_operands(node)} - inside
        found = {s for s in sources if _keeps_rows(s) and is_free(s) and inside.issuperset(s.users)}
        if not found:
            break
        inside |= found
    permuted = _only_reader(attention)
    if permuted is not None and permuted.target is _PERMUTE and _keeps_rows(permuted):
        inside.add(permuted)
        view = _only_reader(permuted)
        if view is not None and kind_of(view) is Kind.VIEW:
            inside.add(view)
    return inside


def _moved_operands(node: Node) -> list[Node]:
    """The operands that may be moves: not the mask of the attention."""
    operands = node.args[:3] if node.target is ATTENTION else node.args[:1]
    return [o for o in operands if isinstance(o, Node) and o.op == "call_function"]


def _keeps_rows(node: Node) -> bool:
    """Whether neighbors in the last axis of the result are neighbors in the operand too."""
    if kind_of(node) is Kind.VIEW:
        return True
    rank = len(node_spec(node.all_input_nodes[0]).shape) if node.all_input_nodes else 0
    if node.target is _PERMUTE:
        axes = arguments_of(node)["dims"]
        return bool(axes[-1] % rank == rank - 1)
    if node.target is _ATEN.slice.Tensor:
        arguments = arguments_of(node)
        return bool(arguments["step"] == 1 or arguments["dim"] % rank != rank - 1)
    if node.target is _ATEN.select.int:
        return bool(arguments_of(node)["dim"] % rank != rank - 1)
    return False


def _only_reader(node: Node) -> Node | None:
    readers = list(node.users)
    return readers[0] if len(readers) == 1 and readers[0].op == "call_function" else None
