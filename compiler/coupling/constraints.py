"""What joint blocks must obey: whatever is dropped, a tensor stays a box.

A reshape that splits [heads * size] into [heads, size] does not say what will be dropped: whole
heads, or the same elements of each. Its result keeps one atom for each element, in one block of
both dimensions, until an operator ties some of them. What is still open at the end is settled here.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np

from .atoms import Atoms, Ints
from .labels import Block


class Constraint(ABC):
    """Something that must hold for a joint block in the end."""

    @abstractmethod
    def settle(self, atoms: Atoms) -> bool:
        """Unite or lock what is needed; whether that changed anything."""


@dataclass(frozen=True, eq=False)
class Box(Constraint):
    """What is dropped of the block depends on one of its dimensions alone."""

    block: Block

    def settle(self, atoms: Atoms) -> bool:
        """Decide for a dimension if nothing else did."""
        if deciding_dims(atoms, self.block):
            return False
        _decide(atoms, self.block)
        return True


@dataclass(frozen=True, eq=False)
class Follows(Constraint):
    """Another tensor has only dimension `dim` of the block: its positions go with whole rows."""

    block: Block
    dim: int
    atoms: Ints
    at: str

    def settle(self, atoms: Atoms) -> bool:
        """Unite with the rows if they are what is dropped, else lock."""
        deciding = deciding_dims(atoms, self.block)
        if not deciding:
            _decide(atoms, self.block)
            return True
        rows = self.block.rows(self.dim)
        if self.dim in deciding and not atoms.is_locked(rows).all():
            if np.array_equal(atoms.find(rows[:, 0]), atoms.find(self.atoms)):
                return False
            atoms.union(rows[:, 0], self.atoms)
            return True
        if atoms.is_locked(self.atoms).all():
            return False
        atoms.lock(self.atoms, "it is shared by what is dropped one by one", self.at)
        return True


@dataclass(frozen=True, eq=False)
class Keeps(Constraint):
    """One position of dimension `dim` of the block is read, so it must not go as a whole."""

    block: Block
    dim: int
    index: int
    at: str

    def settle(self, atoms: Atoms) -> bool:
        """Lock the position if whole rows are what is dropped."""
        row = self.block.rows(self.dim)[self.index]
        if deciding_dims(atoms, self.block) != [self.dim] or atoms.is_locked(row).all():
            return False
        atoms.lock(row, "it is selected by its number", self.at)
        return True


def settle(atoms: Atoms, constraints: list[Constraint]) -> None:
    """Unite and lock until every constraint holds."""
    while sum(constraint.settle(atoms) for constraint in constraints):
        pass


def deciding_dims(atoms: Atoms, block: Block) -> list[int]:
    """The dimensions each of which alone says what is dropped; all of them if nothing can be."""
    roots = np.where(atoms.is_locked(block.atoms), -1, atoms.find(block.atoms))
    found = Block(block.dims, roots)
    rows = {dim: found.rows(dim) for dim in block.dims}
    return [dim for dim, row in rows.items() if (row == row[:, :1]).all()]


def _decide(atoms: Atoms, block: Block) -> None:
    """Let the dimension decide that leaves the most units, the longest of several."""
    units = {dim: (_units(atoms, block, dim), len(block.rows(dim)), -dim) for dim in block.dims}
    rows = block.rows(max(units, key=lambda dim: units[dim]))
    atoms.union(rows[:, :1], rows)


def _units(atoms: Atoms, block: Block, dim: int) -> int:
    """How many classes there would be if each position of a dimension were dropped as a whole."""
    numbers = np.unique(atoms.find(block.rows(dim)), return_inverse=True)[1]
    trial = Atoms()
    classes = trial.new(numbers.max() + 1, 0)[numbers.reshape(block.rows(dim).shape)]
    trial.union(classes[:, :1], classes)
    return len(np.unique(trial.find(classes)))
