"""Register tiles: how many accumulators a kernel keeps, per vector unit.

A GEMM tile of MR rows x NR columns keeps MR * NR/lanes accumulators; beside them the registers hold
NR/lanes vectors of weights and, where multiply-add by lane exists (ARM), MR vectors of inputs.
"""

from dataclasses import dataclass

from ..target import Target


@dataclass(frozen=True)
class Tile:
    """Rows and columns of the accumulator block, and steps of the reduction unrolled at once."""

    rows: int
    columns: int
    steps: int


def panel_columns(target: Target, columns: int) -> int:
    """Columns of one weight panel for a matrix of `columns` columns."""
    lanes = target.lanes(32)
    widest = _vectors(target) * lanes
    return min(widest, -(-columns // lanes) * lanes)


def gemm_tile(target: Target, rows: int, panel: int) -> Tile:
    """The tile for a GEMM of `rows` rows over weights packed `panel` columns wide.

    Chosen so that nothing spills: on 32 registers of 4 lanes an 8 x 8 tile with four steps takes
    16 accumulators, 8 inputs, 2 weights and runs at the port limit of a Cortex-A72 in llvm-mca.
    """
    vectors = max(1, panel // target.lanes(32))
    if is_arm(target):  # inputs are loaded `steps` at a time and multiplied by lane
        steps = target.lanes(32)
        most = max(1, (target.simd_registers - vectors - 2) // (vectors + 1))
    else:  # inputs are broadcast from memory
        steps = 1
        most = max(1, (target.simd_registers - vectors - 1) // vectors)
    return Tile(
        _even_split(rows, min(most, 14 if vectors == 1 else 8 + 6 // vectors)), panel, steps
    )


def channel_block(channels: int) -> int:
    """Output channels per block of packed convolution weights: 4 to 8, adding the least padding."""
    if channels <= 8:
        return channels
    return min(range(8, 3, -1), key=lambda block: -channels % block)


def is_arm(target: Target) -> bool:
    """Whether multiply-add by lane exists, which wants inputs in registers."""
    return target.triple.startswith(("aarch64", "arm"))


def _vectors(target: Target) -> int:
    if is_arm(target):
        return 2
    return 3 if target.simd_registers >= 32 else 2


def _even_split(rows: int, most: int) -> int:
    """The largest tile height <= most that divides `rows`, or one that leaves a small tail."""
    if rows <= most:
        return rows
    best = next((r for r in range(most, most // 2, -1) if rows % r == 0), 0)
    return best or most
