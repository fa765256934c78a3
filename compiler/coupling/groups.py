"""What the analysis finds: groups of units that can be dropped, and what is locked and why."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch.fx import Node

from .atoms import Ints
from .flow import Role

Kind = Literal["channels", "features", "heads", "head_dim", "hidden"]


@dataclass(frozen=True, eq=False)
class Member:
    """One dimension of one weight that shrinks with a group.

    Args:
        weight: Its name in `program.weights`.
        dim: The dimension.
        units: [size of the dimension], the unit of the group at each position; -1 where the
            position belongs to another group or to none.
        role: Whether the weight produces the units, reads them, or has one number for each.
        call: The call that reads the weight.
    """

    weight: str
    dim: int
    units: Ints
    role: Role
    call: Node


@dataclass(frozen=True, eq=False)
class Group:
    """Units that can be dropped independently of each other, as long as one of them stays.

    Args:
        name: Module path of what produces the units first; of attention heads, of the module that
            holds queries, keys and values. Unique within a program.
        kind: What a unit is: a channel of a convolution, a feature of a linear layer, an attention
            head (with grouped queries: of keys and values, with the query heads that read it), one
            dimension of every head, or a feature that a norm is taken over ("hidden").
        size: Number of units.
        members: Every dimension of every weight that holds units.
        nodes: For each call whose result holds units: the dimension, and the unit at each of its
            positions as in `Member.units`.
        block: How many successive units must be dropped equally often. Always 1: what would
            need equal counts (groups of a convolution, dimensions of heads) is tied into one unit.
        exact: Dropping units gives what the program computes with their weights set to 0. Not so
            where a norm or mean counts them.
    """

    name: str
    kind: Kind
    size: int
    members: tuple[Member, ...]
    nodes: Mapping[Node, tuple[int, Ints]]
    block: int = 1
    exact: bool = True
    classes: Ints = field(kw_only=True, repr=False)  # root atom of each unit


@dataclass(frozen=True)
class Locked:
    """Positions of something that a weight produces which cannot be dropped.

    Args:
        name: Module path of the call that produces them.
        size: Their number.
        reason: Why they must stay.
        at: Module path of the call for which they must.
    """

    name: str
    size: int
    reason: str
    at: str
