"""Register tiles: how many accumulators a kernel keeps, per vector unit.

A tile of R rows x V vectors of columns keeps R * V accumulators; beside them the registers hold V
vectors of weights and, where multiply-add by lane exists (ARM), R vectors of inputs. Which tile is
best depends on the matrix: `product_tile` adds up what the micro-kernel costs with each, tails
included, and what it moves between the caches.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from ..target import Target

MOST_ROWS = 14
MANY_ROWS = 56  # what packing takes for the rows of a matrix that it knows nothing about
PACKED_COLUMNS = 4  # neighbors of one row that stay together where rows are packed
IN_ORDER = ("cortex-a53", "cortex-a55", "generic")  # LLVM loads further ahead for these
_PACKING = 1.6  # instructions per vector of A that is copied, counted under an emulator
_LDP_BYTES = 1024
_CLOSE_ROWS, _FEW_ROWS = 128, 5  # found by counting spills of depths from 24 to 256
_PAIR_REGISTERS = 25  # of 32, found by counting spills
_SPREAD = "spread"  # beside LLVM's features: see `spread`
_NARROWED = (1, 2, 4)  # vectors of int32 that become one of int8
_BLOCK_FMAS = 336  # of one block of steps: a loop's overhead is then 1 % of its work


@dataclass(frozen=True)
class Tile:
    """Rows and columns of the accumulator block, and steps of the reduction unrolled at once."""

    rows: int
    columns: int
    steps: int
    rows_inside: bool = True  # whether the tiles of one panel of columns run one after another
    packs: bool = False  # whether the rows are copied so that loads of A come in pairs


@dataclass(frozen=True)
class _Costs:
    """What the micro-kernel costs, in cycles of a core that waits for nothing.

    ARM: one instruction per cycle, as a Cortex-A72 issues one 128-bit FMLA beside one load; three
    for the products of two vectors of words that are summed in pairs, one to shuffle a word. x86:
    two FMAs and two loads per cycle (Zen 4 and later, Intel's server cores).
    """

    fma: float
    chains: int  # multiply-adds in flight that hide the latency of one
    left: float  # per row and step: a load of A, ARM takes 4 steps at once
    right: float  # per vector and step: a load of B, ARM takes pairs
    block: float  # per block of steps: the loop
    element: float  # per accumulator: clear, add a bias, store
    tile: float  # per tile: loops, addresses
    l2: float  # per byte that comes from the second level
    memory: float  # per byte that comes from memory


_ARM = _Costs(1, 4, 0.25, 0.5, 3, 2.7, 12, 0.002, 0.03)
_PAIRS = _Costs(3, 4, 1.25, 0.5, 3, 2.7, 12, 0.002, 0.03)
_X86 = _Costs(0.5, 8, 0.12, 0.12, 0.5, 1.0, 8, 0.001, 0.01)


@lru_cache(maxsize=4096)
def product_tile(
    target: Target,
    rows: int,
    columns: int,
    depth: int,
    *,
    panel: int = 0,
    height: int = 0,
    packs: bool = False,
) -> Tile:
    """The tile for [rows, depth] x [depth, columns], the first of the cheapest ones.

    Args:
        target: The CPU.
        rows: Of the first matrix.
        columns: Of the second matrix.
        depth: Columns of the first matrix.
        panel: If not 0, the second matrix is already packed in panels that wide.
        height: If not 0, the first matrix is already packed in tiles of so many rows.
        packs: Whether it may be packed.
    """
    choices = (False, True) if packs and can_pack(target, rows) else (False,)
    choices = (True,) if height else choices
    tiles = _candidates(target, rows, columns, depth, panel, height, choices)
    return min(tiles, key=lambda tile: _cost(target, tile, rows, columns, depth))


def product_cost(target: Target, rows: int, columns: int, depth: int) -> float:
    """Cycles of [rows, depth] x [depth, columns] with its best tile."""
    return _cost(target, product_tile(target, rows, columns, depth), rows, columns, depth)


def most_rows(target: Target, vectors: int) -> int:
    """The tallest tile of that many vectors per row that leaves nothing to spill; 0 = none does."""
    registers = target.simd_registers
    if is_arm(target):  # one vector of A per row, those of B, and some to load ahead
        spare = 3 if target.llvm_cpu in IN_ORDER else 1
        most = (4 if vectors > 2 else 6) if is_paired(target) else MOST_ROWS
        return min(most, (registers - spare - min(8, max(3, vectors))) // (vectors + 1))
    if _SPREAD in target.features:  # LLVM spreads an element of each row before it multiplies
        return (registers - 1 - vectors) // (vectors + 1)
    # Those of B, and one for A, which is broadcast from memory. LLVM wants some to load ahead.
    spare, tallest = (3, MOST_ROWS) if registers >= 32 else (1, 8)
    return min(tallest, (registers - spare - vectors) // vectors)


def can_pack(target: Target, rows: int) -> bool:
    """Whether packed rows load faster: by lane, where two registers are one load."""
    return is_arm(target) and target.pointer_bits == 64 and rows > 1


def steps(target: Target, rows: int, vectors: int, depth: int, packs: bool) -> int:
    """Steps of the reduction that are one block of straight code.

    On ARM as many as make a loop's overhead small, while one base register reaches all weights of
    a block by LDP (DDI 0487, C6.2: offsets of 7 bits, times 16 bytes). Where many rows lie close,
    LLVM pairs the loads of two groups of steps, and has no registers left for so many; nor where
    something else takes some of the registers.
    """
    if not is_arm(target):
        return 2 if target.simd_registers >= 32 else 4
    if target.pointer_bits == 32 or (not packs and depth < _CLOSE_ROWS and rows > _FEW_ROWS):
        return 4
    for count in (8,) if is_paired(target) else (16, 8):
        reached = 16 * vectors * count <= _LDP_BYTES and rows * vectors * count <= _BLOCK_FMAS
        divides = depth % count == 0 or depth > 8 * count
        if reached and divides and depth >= 2 * count:  # else LLVM mixes it with what is around it
            return count
    return 4


def _candidates(
    target: Target,
    rows: int,
    columns: int,
    depth: int,
    panel: int,
    height: int,
    packings: Sequence[bool],
) -> Iterator[Tile]:
    """Every tile that fits the registers, wide ones first."""
    lanes = target.lanes(32)
    widest = 16 if is_arm(target) and not is_paired(target) else 8
    most = min(widest, -(-columns // lanes))
    widths = list(range(most, 0, -1))
    if _SPREAD in target.features:
        widths = [v for v in widths if v in _NARROWED]
        whole = [v for v in widths if v > 1 and -(-columns // lanes) % v == 0]
        widths = whole or widths  # panels that end with the columns hold no zeros
    for vectors in [max(1, panel // lanes)] if panel else widths:
        tallest = min(rows, max(most_rows(target, vectors), int(vectors == 1)))
        for tall in [height] if height else range(tallest, 0, -1):
            for inside in (True, False):
                for pack in packings:
                    block = steps(target, tall, vectors, depth, pack)
                    yield Tile(tall, vectors * lanes, block, inside, pack)


def _cost(target: Target, tile: Tile, rows: int, columns: int, depth: int) -> float:
    """Cycles of the whole product."""
    lanes = target.lanes(32)
    vectors, all_vectors = tile.columns // lanes, -(-columns // lanes)
    total = 0.0
    for height, many in ((tile.rows, rows // tile.rows), (rows % tile.rows, 1)):
        for width, wide in ((vectors, all_vectors // vectors), (all_vectors % vectors, 1)):
            if height and width:
                total += many * wide * _tile_cost(target, height, width, depth, tile.packs)
    if tile.packs:
        total += _PACKING * rows * depth / lanes
    return total + _traffic(target, tile, rows, columns, depth)


def _tile_cost(target: Target, rows: int, vectors: int, depth: int, packed: bool) -> float:
    """Cycles of one register tile."""
    costs = _PAIRS if is_paired(target) else _ARM if is_arm(target) else _X86
    multiply = costs.fma * max(rows * vectors, costs.chains)
    load = rows * costs.left / (2 if packed else 1) + vectors * costs.right
    step = multiply + load + costs.block / steps(target, rows, vectors, depth, packed)
    return depth * step + costs.element * rows * vectors + costs.tile


def _traffic(target: Target, tile: Tile, rows: int, columns: int, depth: int) -> float:
    """Cycles spent waiting for what does not stay in the first level."""
    left, right = 4 * rows * depth, 4 * columns * depth
    high, wide = 4 * tile.rows * depth, 4 * tile.columns * depth
    row_tiles, panels = -(-rows // tile.rows), -(-columns // tile.columns)
    if tile.rows_inside:  # a panel stays, all of A passes by for each
        read = _from(target, left, wide, panels) + _from(target, wide, high, row_tiles) * panels
    else:  # a tile of rows stays, all of B passes by for each
        read = _from(target, right, high, row_tiles) + _from(target, high, wide, panels) * row_tiles
    return read


def _from(target: Target, size: int, beside: int, times: int) -> float:
    """Cycles of reading `size` bytes `times` times while `beside` bytes are read in between.

    The first time is paid whatever the tile.
    """
    costs = _ARM if is_arm(target) else _X86
    again = size * (times - 1)
    if size + beside <= target.l1d_bytes // 2:  # the other half: what is stored, and few ways
        return 0
    if size + beside <= target.l2_bytes // 2:
        return again * costs.l2
    return again * costs.memory


def is_arm(target: Target) -> bool:
    """Whether multiply-add by lane exists, which wants inputs in registers."""
    return target.triple.startswith(("aarch64", "arm"))


def paired(target: Target) -> Target:
    """The core as products see it that sum pairs of int8: some registers are for those."""
    return replace(target, simd_registers=_PAIR_REGISTERS)


def spread(target: Target) -> Target:
    """The core as products see it whose instruction takes no element of a row from memory."""
    return replace(target, features=(*target.features, _SPREAD))


def is_paired(target: Target) -> bool:
    """Whether the core is one that `paired` gave."""
    return target.simd_registers == _PAIR_REGISTERS


def even_split(rows: int, most: int) -> int:
    """The tile height in (most/2, most] that leaves the least of `rows` over, the tallest such."""
    if rows <= most:
        return rows
    return min(range(most, most // 2, -1), key=lambda height: -rows % height)
