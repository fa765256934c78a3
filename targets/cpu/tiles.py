"""Register tiles: how many accumulators a kernel keeps, per vector unit.

A GEMM tile of MR rows x NR columns keeps MR * NR/lanes accumulators; beside them the registers hold
NR/lanes vectors of weights and, where multiply-add by lane exists (ARM), MR vectors of inputs.
"""

from dataclasses import dataclass

from ..target import Target

MOST_ROWS = 14


@dataclass(frozen=True)
class Tile:
    """Rows and columns of the accumulator block, and steps of the reduction unrolled at once."""

    rows: int
    columns: int
    steps: int


def panel_columns(target: Target, columns: int) -> int:
    """Columns of one panel for a matrix of `columns` columns: wide, but with little padding."""
    lanes = target.lanes(32)

    def price(vectors: int) -> float:  # half a load of the other operand for every vector
        padded = columns + -columns % (vectors * lanes)
        return padded * (1 + 0.5 / vectors)

    return lanes * min(range(_panel_vectors(target), 0, -1), key=price)


def gemm_tile(target: Target, rows: int, panel: int) -> Tile:
    """The tile for a GEMM of `rows` rows over weights packed `panel` columns wide.

    Chosen so that nothing spills: on 32 registers of 4 lanes an 8 x 8 tile with four steps takes
    16 accumulators, 8 inputs, 2 weights and runs at the port limit of a Cortex-A72 in llvm-mca.
    """
    vectors = max(1, panel // target.lanes(32))
    if is_arm(target):  # inputs are loaded `steps` at a time and multiplied by lane
        steps = target.lanes(32)
        most = (target.simd_registers - vectors - 2) // (vectors + 1)
    else:  # inputs are broadcast from memory
        steps = 1
        most = (target.simd_registers - vectors - 1) // vectors
    return Tile(_even_split(rows, max(1, min(most, MOST_ROWS))), panel, steps)


def block_rows(target: Target, rows: int) -> int:
    """Output channels of one convolution tile; packed weights come in blocks of that many."""
    return _even_split(rows, 8 if target.simd_registers >= 32 else 4)


def vectors_per_row(target: Target, rows: int) -> int:
    """Vectors of neighboring columns beside each other in a convolution tile of `rows` channels."""
    others = 8 if is_arm(target) else 4  # weights in registers, and room to load ahead
    return max(1, min(4, (target.simd_registers - others) // (rows + 1)))


def is_arm(target: Target) -> bool:
    """Whether multiply-add by lane exists, which wants inputs in registers."""
    return target.triple.startswith(("aarch64", "arm"))


def _panel_vectors(target: Target) -> int:
    if is_arm(target):
        return 2
    return 3 if target.simd_registers >= 32 else 2


def _even_split(rows: int, most: int) -> int:
    """The tile height in (most/2, most] that leaves the least of `rows` over, the tallest such."""
    if rows <= most:
        return rows
    return min(range(most, most // 2, -1), key=lambda height: -rows % height)
