"""Labels: for each dimension of a tensor, which atom each of its positions belongs to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .atoms import Ints


@dataclass(frozen=True, eq=False)
class Block:
    """The atoms of one dimension, or of several that a reshape split and nothing decided between.

    Args:
        dims: Dimensions of the tensor; more than one is a joint block.
        atoms: One atom for each position; axis i is `dims[i]`.
        vanishes: Elements are 0 wherever their unit is dropped and its weights are set to 0.
    """

    dims: tuple[int, ...]
    atoms: Ints
    vanishes: bool = False

    @property
    def is_joint(self) -> bool:
        """Whether it spans several dimensions."""
        return len(self.dims) > 1

    def axis(self, dim: int) -> int:
        """The axis of `atoms` that is dimension `dim`."""
        return self.dims.index(dim)

    def rows(self, dim: int) -> Ints:
        """The atoms as [size of `dim`, everything else]."""
        first = np.moveaxis(self.atoms, self.axis(dim), 0)
        return first.reshape(first.shape[0], -1)

    def moved(self, places: Mapping[int, int]) -> "Block":
        """The same block where dimension d is called `places[d]`."""
        return replace(self, dims=tuple(places[dim] for dim in self.dims))

    def ordered(self, dims: Sequence[int]) -> "Block":
        """The same block with its axes in the order of `dims`."""
        axes = [self.axis(dim) for dim in dims]
        return replace(self, dims=tuple(dims), atoms=self.atoms.transpose(axes))


@dataclass(frozen=True, eq=False)
class Labels:
    """The blocks of one tensor; every dimension is in exactly one of them."""

    shape: tuple[int, ...]
    blocks: tuple[Block, ...]

    def __post_init__(self) -> None:
        covered = sorted(dim for block in self.blocks for dim in block.dims)
        assert covered == list(range(len(self.shape))), (self.shape, covered)
        for block in self.blocks:
            sizes = tuple(self.shape[dim] for dim in block.dims)
            assert block.atoms.shape == sizes, (self.shape, block.dims, block.atoms.shape)

    def block(self, dim: int) -> Block:
        """The block that `dim` (>= 0) belongs to."""
        return next(block for block in self.blocks if dim in block.dims)

    def atoms(self, dim: int) -> Ints:
        """The atoms of a dimension (negative counts from the end) that stands alone."""
        block = self.block(dim % len(self.shape))
        assert not block.is_joint, f"dimension {dim} of {self.shape} is in a joint block"
        return block.atoms

    def vanishes(self, dim: int) -> bool:
        """Whether elements are 0 where their unit along `dim` is dropped."""
        return self.block(dim % len(self.shape)).vanishes

    def part(self, dims: Sequence[int]) -> "Labels":
        """The labels of some dimensions, in that order; no joint block may be cut."""
        places = {dim: place for place, dim in enumerate(dims)}
        blocks = [block.moved(places) for block in self.blocks if set(block.dims) & set(dims)]
        return Labels(tuple(self.shape[dim] for dim in dims), tuple(blocks))

    def with_block(self, dim: int, block: Block) -> "Labels":
        """These labels with another block, of any size, in the place of the one that has `dim`."""
        old = self.block(dim)
        assert sorted(old.dims) == sorted(block.dims), (old.dims, block.dims)
        sizes = dict(zip(block.dims, block.atoms.shape, strict=True))
        shape = tuple(sizes.get(place, size) for place, size in enumerate(self.shape))
        return Labels(shape, tuple(block if each is old else each for each in self.blocks))

    def vanishing(self, vanishes: bool) -> "Labels":
        """These labels with another value of `vanishes` for all blocks."""
        return Labels(self.shape, tuple(replace(b, vanishes=vanishes) for b in self.blocks))
