"""A residual block: a part of a program that can go because a shortcut leads around it."""

from dataclasses import dataclass
from typing import Literal

from torch.fx import Node

PartKind = Literal["attention", "ffn", "other"]
Level = Literal["layer", "attention", "ffn", "any"]


@dataclass(frozen=True, eq=False)
class Block:
    """Values of equal shape with a shortcut from one to the other.

    Post-norm transformers and ResNets have a *tail* after the sum that closes a block: the norm or
    the activation. `exit` lies behind the tail, `sum` before it; `entry_sum` is the sum before the
    same tail at the entry, None where the entry does not end like this.

    Args:
        name: Module path of the layer; for one of several parts of a layer, `path[kind]`.
        parts: What it is made of, in order.
        is_layer: Whether nothing of its layer lies outside.
        entry: What everything that reads `exit` can read instead.
        exit: Result of the block, of the same shape and dtype as `entry`.
        sum: The sum of the shortcut and the branch.
        entry_sum: What the tail at the entry reads.
        nodes: What nobody reads any more once `entry` stands for `exit`, in graph order.
        macs: Multiply-accumulates of `nodes`.
    """

    name: str
    parts: tuple[PartKind, ...]
    is_layer: bool
    entry: Node
    exit: Node
    sum: Node
    entry_sum: Node | None
    nodes: tuple[Node, ...]
    macs: int

    def is_at(self, level: Level) -> bool:
        """Whether the block is what an option of that name asks for."""
        if level == "layer":
            return self.is_layer
        return level == "any" or self.parts == (level,)
