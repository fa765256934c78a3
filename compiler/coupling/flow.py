"""The state of one analysis, and the steps that the rules of operators are written in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from torch.fx import Node

from ..ir.program import Program, node_specs, origin_of
from ..ir.tensor_spec import TensorSpec
from .atoms import LOCKED, STORED, Atoms, Ints
from .constraints import Constraint, Follows
from .labels import Block, Labels
from .survivors import Survivors
from .zeroing import is_zeroable

Role = Literal["out", "in", "scale"]
Attention = Literal["heads", "head_dim"]
Value: TypeAlias = "Labels | tuple[Labels, ...]"
Rewrite: TypeAlias = Callable[[Program, Survivors], None]

ONLY_ONE = "there is only one position"


@dataclass(frozen=True)
class Use:
    """How a call reads one dimension of a weight."""

    role: Role
    call: Node


class Flow:
    """Labels of every node so far, what they must obey, and how to rewrite calls that shrink.

    Args:
        program: Read only.
        through_norms: Let dimensions be pruned that a norm or mean is taken over.
        attention: Whether whole heads are pruned, or the same dimensions of every head.
    """

    def __init__(self, program: Program, *, through_norms: bool, attention: Attention) -> None:
        self.program = program
        self.through_norms = through_norms
        self.attention = attention
        self.atoms = Atoms()
        self.values: dict[Node, Value] = {}
        self.weights: dict[str, Labels] = {}
        self.uses: dict[tuple[str, int], Use] = {}
        self.constraints: list[Constraint] = []
        self.rewrites: list[Rewrite] = []
        self.node: Node = program.graph.output_node()

    @property
    def at(self) -> str:
        """The module path of the call that is looked at."""
        return origin_of(self.node).module_path or self.node.name

    def of(self, node: Node) -> Labels:
        """The labels of a node with one result."""
        labels = self.values[node]
        assert isinstance(labels, Labels), f"{node} has several results"
        return labels

    def weight(self, node: Node) -> Labels:
        """The labels of a weight, the same for every node that reads it."""
        name = str(node.target)
        if name not in self.weights:
            spec = TensorSpec.of(self.program.weight(node))
            vanishes = is_zeroable(self.program, node)
            blocks = [
                Block((dim,), self.atoms.new(size, STORED), vanishes and size > 1)
                for dim, size in enumerate(spec.shape)
            ]
            for block in blocks:
                if block.atoms.size == 1:
                    self.lock(block.atoms, ONLY_ONE)
            self.weights[name] = Labels(spec.shape, tuple(blocks))
        return self.weights[name]

    def fixed(self, shape: Sequence[int], reason: str) -> Labels:
        """Labels of a tensor of which nothing can be dropped."""
        blocks = [self.fixed_block(dim, size, reason) for dim, size in enumerate(shape)]
        return Labels(tuple(shape), tuple(blocks))

    def fixed_block(self, dim: int, size: int, reason: str) -> Block:
        """A block for one dimension of which nothing can be dropped."""
        atoms = self.atoms.new(size, LOCKED)
        self.lock(atoms, ONLY_ONE if size == 1 else reason)
        return Block((dim,), atoms)

    def fixed_result(self, reason: str) -> Value:
        """Fixed labels for whatever the current call gives."""
        specs = node_specs(self.node)
        if isinstance(specs, TensorSpec):
            return self.fixed(specs.shape, reason)
        return tuple(self.fixed(() if s is None else s.shape, reason) for s in specs)

    def unknown(self, what: str) -> Value:
        """Fixed labels for what the current call reads and gives."""
        reason = f"{what}, for which there is no coupling rule"
        for operand in self.node.all_input_nodes:
            values = self.values[operand]
            for labels in values if isinstance(values, tuple) else (values,):
                self.lock_all(labels, reason)
        return self.fixed_result(reason)

    def lock(self, atoms: Ints, reason: str) -> None:
        """Say that positions must stay because of the current call."""
        self.atoms.lock(atoms, reason, self.at)

    def lock_all(self, labels: Labels, reason: str) -> None:
        """Say that a tensor must keep its shape."""
        for block in labels.blocks:
            self.lock(block.atoms, reason)

    def lock_dim(self, labels: Labels, dim: int, reason: str) -> Labels:
        """Keep a dimension whole; a joint block is tied over it and keeps its other dimensions."""
        dim %= len(labels.shape)
        block = labels.block(dim)
        fixed = self.fixed_block(dim, labels.shape[dim], reason)
        if not block.is_joint:
            self.lock(block.atoms, reason)
            return labels
        rows = np.moveaxis(block.atoms, block.axis(dim), 0)
        self.atoms.union(rows[:1], rows)
        dims = tuple(other for other in block.dims if other != dim)
        rest = Block(dims, rows[0], block.vanishes)
        others = [each for each in labels.blocks if each is not block]
        return Labels(labels.shape, (*others, rest, fixed))

    def alone(self, labels: Labels, dim: int) -> Labels:
        """Let a dimension stand alone: in a joint block, the same positions go everywhere."""
        dim %= len(labels.shape)
        block = labels.block(dim)
        if not block.is_joint:
            return labels
        rows = block.rows(dim)
        self.atoms.union(rows[:, :1], rows)
        single = Block((dim,), rows[:, 0], block.vanishes)
        reason = "the same part of each is dropped"
        fixed = [self.fixed_block(d, labels.shape[d], reason) for d in block.dims if d != dim]
        others = [each for each in labels.blocks if each is not block]
        return Labels(labels.shape, (*others, single, *fixed))

    def apart(self, node: Node) -> Labels:
        """The labels of an operand of which every dimension stands alone, as those of weights."""
        labels = self.of(node)
        for dim in range(len(labels.shape)):
            labels = self.alone(labels, dim)
        return labels

    def decided(self, labels: Labels, dim: int) -> Labels:
        """Let a dimension of a matrix stand alone; a part of a head as `attention` says."""
        if self.attention == "heads" and labels.block(dim % len(labels.shape)).is_joint:
            return self.lock_dim(labels, dim, "heads are dropped whole")
        return self.alone(labels, dim)

    def unite(self, left: Labels, left_dim: int, right: Labels, right_dim: int) -> None:
        """Let positions of two dimensions that stand alone be dropped together."""
        self.atoms.union(left.atoms(left_dim), right.atoms(right_dim))

    def sum_over(self, left: Labels, left_dim: int, right: Labels, right_dim: int) -> None:
        """Unite what a product sums over; it must hold 0 where dropped, on one side at least."""
        self.unite(left, left_dim, right, right_dim)
        if not (left.vanishes(left_dim) or right.vanishes(right_dim)):
            self.lock(left.atoms(left_dim), "it is summed over, and dropped units would not be 0")

    def follow(self, block: Block, dim: int, atoms: Ints) -> None:
        """Let atoms of a single dimension go where a joint block has nothing left at theirs."""
        self.constraints.append(Follows(block, dim, atoms, self.at))

    def use(self, weight: Node | None, dim: int, role: Role) -> None:
        """Note how the current call reads a dimension of an operand, if that is a weight."""
        if weight is not None and weight.op == "get_attr":
            dim %= len(self.weight(weight).shape)
            self.uses.setdefault((str(weight.target), dim), Use(role, self.node))
