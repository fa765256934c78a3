"""How one Winograd convolution is cut: tiles, panels, blocks, and what it costs.

An output of OH x OW is cut into square tiles; a tile of m x m outputs needs (m + 2)^2 products per
pair of channels instead of 9 m^2 (Lavin and Gray 2016, arXiv:1509.09308). The products of one
position in the tile are a matrix product over all tiles: [tiles, C] * [C, O].
"""

from dataclasses import dataclass, replace
from typing import Any

from ...mobile_gpus import MobileGpu
from ...target import Target
from ..tiles import is_arm

LINE_BYTES = 64
FLOAT_BYTES = 4
TRANSFORM_COST = {2: 4, 4: 8}  # instructions of a transform per vector, by tile, counted on ARM
DIRECT_COST = 1.25  # instructions per multiply-add of a direct convolution
STALL = 8  # multiply-adds that fit between one and the next on the same sum
BLOCKS_FOR_THREADS = 4  # from which on threads take a block each, not a part of each step
BLOCKS_PER_THREAD = 4
WEIGHT_COST = 1  # multiply-adds that take as long as a float of weights from memory


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The sizes of one kernel. `rows` tiles are a panel, `panels` of them a block."""

    tile: int  # outputs along each side of a tile: m of F(m x m, 3 x 3)
    lanes: int  # floats of a vector
    by_lane: bool  # multiplies by one lane of a vector, as ARM does
    rows: int  # tiles of a register tile
    vectors: int  # vectors of output channels of a register tile
    batch: int
    sizes: tuple[int, int]  # OH, OW
    depth: int  # input channels
    outputs: int  # output channels
    blocks: int  # each does all three steps before the next one
    together: int = 1  # blocks that threads may do at once, each in scratch memory of its own

    @property
    def taps(self) -> int:
        """Inputs along each side of a tile."""
        return self.tile + 2

    @property
    def positions(self) -> int:
        """Elements of a transformed tile."""
        return self.taps**2

    @property
    def grid(self) -> tuple[int, int]:
        """Tiles down and across one image."""
        return -(-self.sizes[0] // self.tile), -(-self.sizes[1] // self.tile)

    @property
    def tiles(self) -> int:
        """Tiles of all images."""
        return self.batch * self.grid[0] * self.grid[1]

    @property
    def multiply_adds(self) -> int:
        """Of the products, without the transforms."""
        return self.tiles * self.positions * self.depth * self.outputs

    @property
    def all_panels(self) -> int:
        """Panels of all blocks that have tiles."""
        return -(-self.tiles // self.rows)

    @property
    def panels(self) -> int:
        """Panels of one block."""
        return -(-self.all_panels // self.blocks)

    @property
    def groups(self) -> int:
        """Groups of blocks, one after the other; the last one may have fewer blocks."""
        return -(-self.blocks // self.together)

    @property
    def may_lack_panels(self) -> bool:
        """Whether some block has fewer panels than the others."""
        return self.groups * self.together * self.panels > self.all_panels

    @property
    def may_lack_tiles(self) -> bool:
        """Whether some panel has fewer tiles than the others."""
        return self.groups * self.together * self.panels * self.rows > self.tiles

    @property
    def columns(self) -> int:
        """Output channels of a register tile."""
        return self.vectors * self.lanes

    @property
    def column_panels(self) -> int:
        """Register tiles side by side over all output channels."""
        return -(-self.outputs // self.columns)

    @property
    def input_pitch(self) -> int:
        """From one position of a panel to the next among the transformed inputs.

        Behind [channel / lanes, row, lane], which the product reads in one go, lies an unused line:
        positions would else be a power of two apart and evict each other from the cache.
        """
        vectors = -(-self.depth // self.lanes)
        return vectors * self.rows * self.lanes + LINE_BYTES // FLOAT_BYTES

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Transformed inputs: [block of a group, (panel, position, pitch)].

        As one axis, for TVM cuts off what no index of an axis reaches: the unused lines.
        """
        return self.together, self.panels * self.positions * self.input_pitch

    def input_place(self, panel: Any, position: Any, vector: Any, row: Any, lane: Any) -> Any:
        """Where in its block a transformed input lies."""
        inner = (vector * self.rows + row) * self.lanes + lane
        return (panel * self.positions + position) * self.input_pitch + inner

    @property
    def product_shape(self) -> tuple[int, ...]:
        """Products: [block of a group, panel, column panel, position, (row, column)]."""
        tile = self.rows * self.columns
        return self.together, self.panels, self.column_panels, self.positions, tile

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Transformed weights: [position, column panel, channel, column]."""
        return self.positions, self.column_panels, self.depth, self.columns

    def cost(self, target: Target) -> float:
        """Vector instructions of the kernel, or what it waits for its weights instead."""
        product = self.positions * self.all_panels * _register_tile_cost(self)
        vectors = self.tiles * self.positions * (self.depth + self.outputs) / self.lanes
        weights = self.positions * self.depth * self.outputs
        return max(product, _wait(target, weights)) + vectors * TRANSFORM_COST[self.tile]


def winograd_plan(
    target: Target,
    tile: int,
    batch: int,
    sizes: tuple[int, int],
    depth: int,
    outputs: int,
    threads: int = 1,
) -> Plan:
    """The plan for `batch` images of `sizes` outputs, from `depth` to `outputs` channels."""
    lanes = target.lanes(32)

    def plan(rows: int, vectors: int) -> Plan:
        return Plan(
            tile=tile,
            lanes=lanes,
            by_lane=is_arm(target),
            rows=rows,
            vectors=vectors,
            batch=batch,
            sizes=sizes,
            depth=depth,
            outputs=outputs,
            blocks=1,
        )

    fitting = [
        plan(rows, vectors)
        for vectors in range(1, 5)
        for rows in range(1, 15)
        if _registers(target, rows, vectors) <= _most_registers(target)
    ]
    best = min(fitting, key=lambda p: p.all_panels * _register_tile_cost(p))
    if isinstance(target, MobileGpu):  # each step is a launch, of as many work-items as there are
        return best
    blocks = min(range(1, best.all_panels + 1), key=lambda n: _traffic(target, best, n))
    shared = threads > 1 and blocks >= BLOCKS_FOR_THREADS
    together = min(blocks, threads * BLOCKS_PER_THREAD) if shared else 1
    return replace(best, blocks=blocks, together=together)


def direct_cost(
    target: Target, batch: int, sizes: tuple[int, int], depth: int, outputs: int
) -> float:
    """Vector instructions of a direct 3 x 3 convolution, to compare with `Plan.cost`."""
    columns = -(-outputs // target.lanes(32))
    product = batch * sizes[0] * sizes[1] * columns * depth * 9 * DIRECT_COST
    return max(product, _wait(target, 9 * depth * outputs))


def _most_registers(target: Target) -> int:
    """Vector registers that a register tile may want: on a GPU those of a work-item, if fewer."""
    if isinstance(target, MobileGpu):
        return min(target.simd_registers, target.registers // target.lanes(32))
    return target.simd_registers


def _registers(target: Target, rows: int, vectors: int) -> int:
    """Vector registers that the loop of a register tile wants."""
    if is_arm(target):
        return rows * vectors + rows + vectors + 2
    return rows * vectors + vectors + 1


def _register_tile_cost(plan: Plan) -> float:
    """Instructions of one register tile times the column panels it takes.

    Inputs and weights are loaded in pairs, or broadcast as part of a load.
    """
    rows, vectors = plan.rows, plan.vectors
    accumulators = rows * vectors
    if plan.by_lane:
        step = accumulators + rows / (2 * plan.lanes) + vectors / 2 + 0.5
    else:
        step = accumulators + (rows + vectors) / 2 + 0.5
    return plan.column_panels * (plan.depth * max(step, STALL) + 1.5 * accumulators + 10)


def _wait(target: Target, weights: int) -> float:
    """Multiply-adds in the time in which so many floats of weights come, if L2 cannot keep them."""
    return weights * WEIGHT_COST if weights * FLOAT_BYTES > target.l2_bytes else 0


def _traffic(target: Target, plan: Plan, blocks: int) -> float:
    """Floats that cross the border of L2 if the work is done in so many blocks.

    Weights come once per block, and what a block makes leaves and comes back where it takes more
    than half of L2. Scratch memory counts once: several blocks share it.
    """
    weights = plan.positions * plan.depth * plan.outputs
    panel = plan.positions * plan.rows * (plan.depth + plan.outputs)
    block = -(-plan.all_panels // blocks) * panel
    room = target.l2_bytes / FLOAT_BYTES / 2
    return blocks * (weights + 2 * max(0, block - room)) + block
