"""What is left of every dimension: the counts that baked constants are rewritten to."""

import numpy as np

from .atoms import Atoms, Ints, Mask
from .labels import Block, Labels


class Survivors:
    """Answers which positions stay when some classes of atoms are dropped.

    Args:
        atoms: All atoms of the program.
        dropped: Roots of the dropped classes.
    """

    def __init__(self, atoms: Atoms, dropped: Ints) -> None:
        self._dropped: Mask = np.isin(atoms.find(np.arange(len(atoms))), dropped)

    def mask(self, block: Block, dim: int) -> Mask:
        """Which positions of one dimension of a block stay; those with anything left."""
        alive: Mask = np.any(~self._dropped[block.rows(dim)], axis=1)
        return alive

    def alive(self, atoms: Ints) -> Mask:
        """Which positions of a dimension that stands alone stay."""
        alive: Mask = ~self._dropped[atoms]
        return alive

    def count(self, labels: Labels, dim: int) -> int:
        """How many positions of a dimension stay."""
        return int(self.mask(labels.block(dim), dim).sum())

    def shape(self, labels: Labels) -> list[int]:
        """The new shape of a tensor."""
        return [self.count(labels, dim) for dim in range(len(labels.shape))]
