"""What one work-item computes of a product: rows x vectors of columns, all in registers.

A larger tile loads less for each multiply-add; a smaller one leaves more work-items, of which a
device needs many to hide how long memory takes.
"""

from collections.abc import Iterator
from functools import lru_cache

from ..cpu.depthwise import Slide
from ..mobile_gpus import MobileGpu

STEPS = 4  # of the reduction that are straight code: one vector of each row
_LOAD = 1.5  # of a vector, where multiplying and adding one takes 1
_CHAINS = 8  # sums that a CPU adds to at once: it has no other work-items to switch to
_LOOP = 3.0  # around STEPS steps
_ADDRESSES = 8  # registers for what is neither loaded nor summed
_WAVES = 4  # of work-items for each compute unit: one loads while others compute
_STORE = 3.0  # to finish a vector of a window: a bias, bounds
_MOST_ROWS = 2  # of a window: more are seldom read again
_PARTIAL = 1.1  # a tile that is cut off at the edge has code of its own


@lru_cache(maxsize=4096)
def product_tile(
    target: MobileGpu, rows: int, columns: int, panel: int, others: int
) -> tuple[int, int]:
    """Rows and columns of the tile with which all work-items are done first.

    Args:
        target: The GPU.
        rows: Positions that may be in one tile.
        columns: Output channels of one part.
        panel: Columns that lie side by side in the packed weights.
        others: How many such products there are.
    """
    return min(
        _candidates(target, rows, panel),
        key=lambda tile: _cost(target, tile, rows, columns, others),
    )


def _candidates(target: MobileGpu, rows: int, panel: int) -> Iterator[tuple[int, int]]:
    """Every tile that fits the registers and divides a panel."""
    lanes = min(target.vector_bits // 32, panel)
    for width in range(lanes, panel + 1, lanes):
        for height in range(1, rows + 1):
            sums, right = height * width, width
            left = height * (STEPS if target.loads_by_vector else 1)
            if panel % width == 0 and sums + left + right + _ADDRESSES <= target.registers:
                yield height, width
    yield 1, lanes


def _cost(target: MobileGpu, tile: tuple[int, int], rows: int, columns: int, others: int) -> float:
    """Time of all work-items, in vectors that one of them multiplies and adds."""
    height, width = tile
    vectors = max(1.0, width * 32 / target.vector_bits)
    left = height if target.loads_by_vector else STEPS * height
    sums = height * vectors if target.loads_by_vector else max(_CHAINS, height * vectors)
    step = STEPS * sums + _LOAD * (left + STEPS * vectors) + _LOOP
    items = -(-rows // height) * -(-columns // width) * others
    partial = _PARTIAL if rows % height or columns % width else 1.0
    return max(items, enough_items(target)) * step * partial


@lru_cache(maxsize=4096)
def window_tile(target: MobileGpu, above: Slide, last: Slide, others: int) -> tuple[int, int]:
    """Rows and columns of neighboring positions that one work-item computes.

    Args:
        target: The GPU.
        above: How the window slides from row to row.
        last: How it slides along the row.
        others: Work-items for one position.
    """
    lanes = target.vector_bits // 32
    taps = above.taps * last.taps

    def cost(tile: tuple[int, int]) -> float:
        rows, columns = tile
        loads = above.inputs(rows) * last.inputs(columns) + taps
        items = -(-above.outputs // rows) * -(-last.outputs // columns) * others
        partial = _PARTIAL if above.outputs % rows or last.outputs % columns else 1.0
        step = rows * columns * (taps + _STORE) + _LOAD * loads + _LOOP
        return max(items, enough_items(target)) * step * partial

    fitting = [
        (rows, columns)
        for rows in range(1, min(above.outputs, _MOST_ROWS) + 1)
        for columns in range(1, min(last.outputs, 8) + 1)
        if lanes * (rows * columns + last.inputs(columns) + 1) + _ADDRESSES <= target.registers
    ]
    return min(fitting or [(1, 1)], key=cost)


def enough_items(target: MobileGpu) -> int:
    """Work-items with which a device need not wait."""
    return target.compute_units * target.wave * _WAVES
