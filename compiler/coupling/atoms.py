"""Union-find over numpy arrays: which positions of which dimensions vanish together."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Ints: TypeAlias = NDArray[np.int64]
Mask: TypeAlias = NDArray[np.bool_]

# What is known of a class of atoms; united classes have the marks of both.
LOCKED = 1  # must stay
STORED = 2  # some position is one of a weight; others only repeat what is there
HEADS = 4  # attention heads
HEAD_DIM = 8  # what queries and keys are compared by
INEXACT = 16  # a norm counts the dropped positions
_NO_REASON = np.iinfo(np.int64).max


class Atoms:
    """Numbered atoms, one for each position of each dimension, in classes that only grow.

    Locked classes remember why, and where, they were locked first.
    """

    def __init__(self) -> None:
        self._count = 0
        self._parent = np.empty(1024, np.int64)
        self._marks = np.empty(1024, np.uint8)
        self._reason = np.empty(1024, np.int64)
        self._reasons: dict[tuple[str, str], int] = {}

    def __len__(self) -> int:
        return self._count

    def new(self, size: int, marks: int) -> Ints:
        """That many new atoms, each a class of its own."""
        first, self._count = self._count, self._count + size
        while self._count > len(self._parent):
            for name in ("_parent", "_marks", "_reason"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.empty_like(old)]))
        atoms = np.arange(first, self._count)
        self._parent[atoms] = atoms
        self._marks[atoms] = marks
        self._reason[atoms] = _NO_REASON
        return atoms

    def find(self, atoms: Ints) -> Ints:
        """The root of the class of each atom."""
        root: Ints = self._parent[atoms]
        while True:
            above = self._parent[root]
            if np.array_equal(above, root):
                break
            root = above
        self._parent[atoms] = root
        return root

    def union(self, left: Ints, right: Ints) -> None:
        """Let `left[i]` and `right[i]` be of one class for all i; the shapes broadcast.

        Larger roots are hung below smaller ones, all at once; where one root got several offers the
        smallest wins, and the next round sees to the others.
        """
        left, right = (side.ravel() for side in np.broadcast_arrays(left, right))
        while True:
            one, other = self.find(left), self.find(right)
            differ = one != other
            if not differ.any():
                return
            low, high = np.minimum(one, other)[differ], np.maximum(one, other)[differ]
            np.minimum.at(self._parent, high, low)
            hung = np.unique(high)
            roots = self.find(hung)
            np.bitwise_or.at(self._marks, roots, self._marks[hung])
            np.minimum.at(self._reason, roots, self._reason[hung])

    def mark(self, atoms: Ints, marks: int) -> None:
        """Add marks to the classes of the atoms."""
        self._marks[self.find(atoms)] |= np.uint8(marks)

    def marked(self, atoms: Ints, marks: int) -> Mask:
        """Whether the class of each atom has any of the marks."""
        found: Mask = (self._marks[self.find(atoms)] & np.uint8(marks)) != 0
        return found

    def lock(self, atoms: Ints, reason: str, at: str) -> None:
        """Say that the positions must stay; the first reason for a class is kept."""
        number = self._reasons.setdefault((reason, at), len(self._reasons))
        roots = self.find(atoms)
        self._marks[roots] |= np.uint8(LOCKED)
        self._reason[roots] = np.minimum(self._reason[roots], number)

    def is_locked(self, atoms: Ints) -> Mask:
        """Whether each position must stay."""
        return self.marked(atoms, LOCKED)

    def reasons(self, atoms: Ints) -> dict[tuple[str, str] | None, int]:
        """Why and where atoms were locked, and how many for each reason; None: they are not."""
        numbers, counts = np.unique(self._reason[self.find(atoms)], return_counts=True)
        known: list[tuple[str, str] | None] = [*self._reasons, None]
        texts = [known[min(number, len(known) - 1)] for number in numbers.tolist()]
        return dict(zip(texts, counts.tolist(), strict=True))
