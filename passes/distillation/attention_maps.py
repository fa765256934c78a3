"""Attention maps, which programs never store: computed again from queries and keys."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of, shape_of
from .hidden_states import places

_ATTENTION = torch.ops.aten.scaled_dot_product_attention.default


@dataclass(frozen=True)
class Attention:
    """A call of attention with what its map depends on."""

    node: Node
    query: Node
    key: Node
    mask: Node | None
    scale: float
    causal: bool

    @property
    def reads(self) -> tuple[Node, ...]:
        """The nodes whose values `map` needs."""
        return (self.query, self.key) if self.mask is None else (self.query, self.key, self.mask)

    def map(self, values: Mapping[Node, Tensor]) -> Tensor:
        """softmax(scale * query key^T + mask): [N, heads, L, S], float32."""
        query, key = values[self.query].float(), values[self.key].float()
        key = key.repeat_interleave(query.shape[-3] // key.shape[-3], -3)  # heads that share one
        scores = self.scale * (query @ key.transpose(-2, -1))
        mask = None if self.mask is None else values[self.mask]
        if self.causal:
            mask = torch.ones_like(scores[0, 0], dtype=torch.bool).tril()
        if mask is not None and mask.dtype == torch.bool:
            scores = scores.masked_fill(~mask, -math.inf)
        elif mask is not None:
            scores = scores + mask.float()
        return scores.softmax(-1).nan_to_num()  # a row that sees nothing gives 0


def attentions(program: Program) -> list[Attention]:
    """All attention over heads in the program, in order; what is written out is not found."""
    found = program.graph.find_nodes(op="call_function", target=_ATTENTION)
    return [_attention(node) for node in found if len(shape_of(node)) == 4]


def pair_attentions(
    student: Sequence[Attention], teacher: Sequence[Attention]
) -> list[tuple[Attention, Attention]]:
    """The attention of both programs that comes from the same place of the user's model."""
    ours, theirs = (places([one.node for one in found]) for found in (student, teacher))
    known = {theirs[one.node]: one for one in teacher}
    return [(one, known[ours[one.node]]) for one in student if ours[one.node] in known]


def reads_of(found: Sequence[Attention]) -> list[Node]:
    """All nodes that their maps depend on."""
    return list(dict.fromkeys(node for one in found for node in one.reads))


def _attention(node: Node) -> Attention:
    arguments = arguments_of(node)
    scale = arguments["scale"]
    width = shape_of(arguments["query"])[-1]
    return Attention(
        node,
        arguments["query"],
        arguments["key"],
        arguments["attn_mask"],
        1 / math.sqrt(width) if scale is None else scale,
        bool(arguments["is_causal"]),
    )
