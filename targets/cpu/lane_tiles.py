"""Register tiles of products whose left matrix is stored by columns, on cores with FMA by lane."""

from ..target import Target
from .tiles import Tile

STEPS = 8  # of the reduction per block of straight code
# Instructions: of a load (they come in pairs), a block of steps, an accumulator, a tile.
_LOAD, _LOOP, _ELEMENT, _TILE = 0.5, 4, 2.7, 12


def lane_tile(target: Target, rows: int, columns: int, depth: int) -> Tile:
    """The tile for [rows, depth] x [depth, columns] where the first matrix is stored by columns.

    One vector then holds the elements of several rows, to multiply by lane.
    """
    lanes = target.lanes(32)
    free = target.simd_registers - 1

    def cost(tile: tuple[int, int]) -> float:
        vectors, height = tile
        total = 0.0
        for row in range(0, rows, height):
            for column in range(0, -(-columns // lanes), vectors):
                tall, wide = min(height, rows - row), min(vectors, -(-columns // lanes) - column)
                loads = _LOAD * (wide + -(-tall // lanes))
                step = tall * wide + loads + _LOOP / STEPS
                total += depth * step + _ELEMENT * tall * wide + _TILE
        return total

    fitting = [
        (vectors, height)
        for vectors in range(1, -(-columns // lanes) + 1)
        for height in range(1, rows + 1)
        if vectors * height + vectors + -(-height // lanes) <= free
    ]
    vectors, height = min(fitting, key=cost)
    return Tile(height, vectors * lanes, STEPS)
