"""Register tiles of products whose weights have steps for groups: sums of a group, then floats."""

from dataclasses import dataclass
from functools import lru_cache

from ..target import Target
from .integer_groups import sums_pairs
from .tiles import Tile, is_arm

_MOST_VECTORS = 8
_FEW_VECTORS = 2  # where an Arm core has 16 registers


@dataclass(frozen=True)
class _Costs:
    """Instructions, counted in what compilers made of the loops."""

    dot: float  # of a word of inputs by a vector of words
    unpack: float  # of a vector of packed words, its load included
    spread: float  # of a word of inputs
    group: float  # of the floats of a vector
    loop: float = 4
    element: float = 6  # the epilogue of a vector
    tile: float = 12


@lru_cache(maxsize=1024)
def group_tile(
    target: Target, rows: int, columns: int, groups: int, words: int, *, panel: int = 0
) -> Tile:
    """The tile for [rows, groups] x [groups, columns], `words` packed words in each group.

    Args:
        target: The CPU.
        rows: Of the first matrix.
        columns: Of the second matrix.
        groups: Of its depth.
        words: Packed words of a group.
        panel: If not 0, the second matrix is already packed in panels that wide.
    """
    lanes = target.lanes(32)
    every = -(-columns // lanes)
    costs = _costs(target)

    def cost(shape: tuple[int, int]) -> float:
        vectors, height = shape
        total = 0.0
        for tall, many in ((height, rows // height), (rows % height, 1)):
            for wide, often in ((vectors, every // vectors), (every % vectors, 1)):
                if tall and wide:
                    step = tall * wide * (2 * words * costs.dot + costs.group) + costs.loop
                    step += words * (wide * costs.unpack + 2 * tall * costs.spread)
                    each = groups * step + costs.element * tall * wide + costs.tile
                    total += many * often * each
        return total

    most = _FEW_VECTORS if is_arm(target) and target.simd_registers < 32 else _MOST_VECTORS
    widths = [panel // lanes] if panel else range(min(most, every), 0, -1)
    shapes = [(v, tall) for v in widths for tall in range(_tallest(target, rows, v), 0, -1)]
    vectors, height = min(shapes, key=cost)
    return Tile(height, vectors * lanes, 1)


def _tallest(target: Target, rows: int, vectors: int) -> int:
    """Rows that leave registers for unpacked words, inputs and one sum."""
    spare = 12 if is_arm(target) else 6
    free = max(0, target.simd_registers - spare)
    return max(1, min(rows, free // (vectors + 1)))


def _costs(target: Target) -> _Costs:
    if not is_arm(target):
        return _Costs(dot=1, unpack=4, spread=0.5, group=3)
    if sums_pairs(target):
        return _Costs(dot=2, unpack=2.5, spread=1.25, group=5)
    return _Costs(dot=1, unpack=2.5, spread=0.25, group=4)
