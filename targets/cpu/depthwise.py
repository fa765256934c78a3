"""Windows that slide over each channel by itself: depthwise convolutions and pooling.

The accumulation is P[n, (d, h,) w, o] over the taps of the window, channels last. A register tile
of neighboring positions, one vector of channels each, stays in registers over all taps, which are
straight code: inputs that several taps or positions of a tile read are loaded once. The weights of
a vector of channels stay in registers while the tiles of a row go by, if there is room.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ..target import Target
from .integer_ops import multiplies_words
from .loops import stored_lanes
from .nests import parallelize_tiles, schedule_nest
from .peel import HINT, PEEL, PEEL_LANES
from .stages import Stage, stage_of
from .threads import is_worth_threads
from .tiles import IN_ORDER, is_arm

MOST_PRODUCTS = 512  # of a tile as straight code; above, outer axes of taps are loops
MOST_VECTORS = 8  # of channels beside each other, where one position is all there is
_EPILOGUE = 4  # instructions that finish and store a vector: bias, two bounds, store
_LOOP = 6  # instructions around a tile
_PARTIAL = 12  # instructions lost to a partial tile: LLVM mixes its code with the next one's
_FEW_TAPS = 9  # with more, LLVM finds no registers to keep their weights in
_FEW_TILES = 4  # for which it does not pay to keep weights
_LINE_BYTES = 64  # a vector of channels lies in one line of the cache


@dataclass(frozen=True)
class Slide:
    """How a window slides over one axis."""

    outputs: int
    taps: int
    stride: int
    dilation: int

    def inputs(self, outputs: int) -> int:
        """Input elements that some tap of that many neighboring outputs reads."""
        taps, steps = range(self.taps), range(outputs)
        return len({p * self.stride + t * self.dilation for p in steps for t in taps})


def schedule(sch: Any, stage: Stage, target: Target, parallel: bool) -> set[str]:
    """Schedule one "depthwise" or "window" accumulation with its epilogue."""
    product = stage.block
    slides = slides_of(stage)
    lanes = min(target.lanes(sum_bits(stage)), 1 << stage.extents[-1].bit_length() - 1)
    tail = epilogue_of(sch, stage) or sch.cache_write(product, 0, "global")
    beside = stored_lanes(sch, tail, stage.extents[-1], target) // lanes
    beside = min(beside, 2) if multiplies_words(stage.store.value) else 1
    tile = tile_sizes(target, slides, stage.template == "depthwise", beside)
    loops = sch.get_loops(tail)
    batch, space, o = loops[: -len(slides) - 1], loops[-len(slides) - 1 : -1], loops[-1]
    vectors = max(beside, _vectors(stage.extents[-1], lanes, math.prod(tile)))
    stored = [vectors // beside, beside * lanes]
    channels, *inside = split_tile(sch, o, *stored, hint=PEEL_LANES)
    pairs = [split_tile(sch, loop, size) for loop, size in zip(space, tile, strict=True)]
    outer, inner = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    order = order_tiles(target, slides, tile, outer, channels)
    sch.reorder(*batch, *order, *inner, *inside)
    sch.compute_at(product, order[-1], preserve_unit_loops=True)
    sch.set_scope(product, 0, "local")
    straight_code(sch, [*inner, inside[0]], inside[1])
    along = next(place for place, loop in enumerate(order) if loop is outer[-1])
    made = _make_words(sch, stage, target, order[along - 1] if along else None)
    if parallel and is_worth_threads(stage, target):
        parallelize_tiles(sch, batch, order[0])
    _accumulate(sch, stage, slides, math.prod(tile) * vectors, lanes)
    return {stage.name, stage_of(sch, tail).name} | made


def _make_words(sch: Any, stage: Stage, target: Target, at: Any) -> set[str]:
    """Make the words that a row of tiles reads before them, where they are made from bytes."""
    if at is None or not multiplies_words(stage.store.value):
        return set()
    for block in sch.get_producers(stage.block):
        words = stage_of(sch, block)
        if words.kind == "injective" and not words.template:
            sch.compute_at(block, at, preserve_unit_loops=True)
            first = len(sch.get_loops(block)) - len(words.axes)
            schedule_nest(sch, stage_of(sch, block), target, first=first, parallel=False)
            return {words.name}
    return set()


def _accumulate(
    sch: Any, stage: Stage, slides: Sequence[Slide], accumulators: int, lanes: int
) -> None:
    """Order the loops of a tile so that what a row of inputs gives is done before the next row."""
    product, count = stage.block, len(stage.reduce_axes)
    loops = sch.get_loops(product)
    taps, (n, *space, o) = loops[-count:], loops[-count - len(stage.axes) : -count]
    vectors, vector = sch.split(o, [None, lanes])
    rolled = _rolled(slides, accumulators)
    if rolled:  # the rows that a tile shares are loaded again in each iteration
        order = [*taps[:rolled], n, *space, *taps[rolled:]]
    elif slides[-1].stride > 1 and math.prod(s.taps for s in slides) <= _FEW_TAPS:
        order = [n, *space, *taps]
    else:  # a row of inputs after the other
        order = [n, *space[:-1], *taps[:-1], space[-1], taps[-1]]
    sch.reorder(*order, vectors, vector)
    straight_code(sch, [*order[rolled:], vectors], vector)
    init = sch.decompose_reduction(product, order[0])
    *zeros, zero = sch.get_loops(init)[-len(stage.axes) - 1 :]
    straight_code(sch, zeros, zero)


def _rolled(slides: Sequence[Slide], accumulators: int) -> int:
    """How many axes of taps, from the outermost, stay loops: straight code has an end."""
    products = [accumulators * math.prod(s.taps for s in slides[i:]) for i in range(len(slides))]
    return sum(1 for count in products if count > MOST_PRODUCTS)


@functools.cache
def tile_sizes(
    target: Target, slides: tuple[Slide, ...], weighted: bool, vectors: int = 1
) -> tuple[int, ...]:
    """Neighboring positions per axis that make a tile: those with the fewest instructions.

    Args:
        target: The CPU.
        slides: How the window slides over each axis.
        weighted: Whether inputs are multiplied by weights.
        vectors: Of channels, which share the registers.
    """
    *_, last = slides
    above = slides[-2] if len(slides) > 1 else Slide(1, 1, 1, 1)
    outside = math.prod(s.taps for s in slides[:-2])  # of a third axis
    best = min(
        _candidates(target, above, last, outside, weighted, vectors),
        key=lambda pair: (
            _instructions(target, above, last, outside, weighted, pair),
            math.prod(pair),
        ),
    )
    return (*(1 for _ in slides[:-2]), *best[-min(2, len(slides)) :])


def most_accumulators(target: Target, taps: int, stride: int, weighted: bool) -> int:
    """Accumulators of a tile with which LLVM spills nothing, found by reading its code.

    With few taps their weights stay in registers too; strided windows need more inputs at once.
    Code for cores that execute in order loads further ahead.
    """
    plain = stride == 1
    if target.simd_registers < 32:
        return 8 if plain and taps <= _FEW_TAPS else 6
    if taps > _FEW_TAPS:
        return 10 if plain else 8
    if target.llvm_cpu in IN_ORDER:
        return 14 if plain else 7
    if plain:
        return 20 if is_arm(target) else 16
    return 16 if weighted else 8


def _keeps_weights(target: Target, taps: int) -> bool:
    """Whether the weights of a vector of channels stay in registers from tile to tile."""
    return taps <= _FEW_TAPS and target.simd_registers >= 32


def _candidates(
    target: Target, above: Slide, last: Slide, outside: int, weighted: bool, vectors: int
) -> Iterator[tuple[int, int]]:
    taps = above.taps * last.taps * outside
    most = max(1, most_accumulators(target, taps, last.stride, weighted) // vectors)
    rolled = taps * min(most, 4) > MOST_PRODUCTS
    most = max(1, min(most, MOST_PRODUCTS // (last.taps if rolled else taps)))
    tallest = min(above.outputs, 5 if above.stride == 1 else 2, most, 1 if rolled else most)
    for height in range(1, tallest + 1):
        for width in range(1, min(last.outputs, most // height) + 1):
            yield height, width


def _instructions(
    target: Target,
    above: Slide,
    last: Slide,
    outside: int,
    weighted: bool,
    tile: tuple[int, int],
) -> int:
    """What one image of one vector of channels executes with a tile, partial tiles included."""
    taps = above.taps * last.taps * outside
    weights = taps if weighted and not _keeps_weights(target, taps) else 0
    total = 0
    for height, rows in _parts(above.outputs, tile[0]):
        for width, columns in _parts(last.outputs, tile[1]):
            inputs = above.inputs(height) * last.inputs(width) * outside
            work = inputs + weights + height * width * (taps + _EPILOGUE) + _LOOP
            work += _PARTIAL * ((height, width) != tile)
            total += rows * columns * work
    return total


def _parts(extent: int, size: int) -> list[tuple[int, int]]:
    """The sizes of tiles along an axis, and how many there are of each."""
    return [(s, count) for s, count in ((size, extent // size), (extent % size, 1)) if s and count]


def order_tiles(
    target: Target,
    slides: Sequence[Slide],
    tile: Sequence[int],
    outer: list[Any],
    channels: Any,
) -> list[Any]:
    """The loops over tiles: channels outside where all rows of a vector's lines fit in L1.

    Weights are then loaded once per image, else once per row of tiles, whose inputs are read by
    one vector of channels after the other while they are in a cache. Weights that no register
    keeps, or only for a few tiles, are read along with the inputs: LLVM would load them early, and
    spill them.
    """
    tiles = math.prod(-(-s.outputs // size) for s, size in zip(slides, tile, strict=True))
    if tiles <= _FEW_TILES or not _keeps_weights(target, math.prod(s.taps for s in slides)):
        return [*outer, channels]
    lines = math.prod(slide.inputs(slide.outputs) for slide in slides)
    if lines * _LINE_BYTES <= target.l1d_bytes:
        return [channels, *outer]
    return [*outer[:-1], channels, outer[-1]]


def _vectors(channels: int, lanes: int, positions: int) -> int:
    """Vectors of channels per tile: more than one where a few positions would wait for sums."""
    if channels % lanes:
        return 1
    whole, most = channels // lanes, max(1, MOST_VECTORS // positions)
    return max(count for count in range(1, most + 1) if whole % count == 0) if positions < 4 else 1


def split_tile(sch: Any, loop: Any, *factors: int, hint: int = PEEL) -> list[Any]:
    partial = int(sch.get(loop).extent) % math.prod(factors) != 0
    outer, *inner = sch.split(loop, [None, *factors])
    if partial:
        sch.annotate(outer, HINT, hint)
    return [outer, *inner]


def straight_code(sch: Any, loops: Sequence[Any], vector: Any) -> None:
    sch.vectorize(vector)
    for loop in loops:
        sch.unroll(loop)


def slides_of(stage: Stage) -> tuple[Slide, ...]:
    """How the window of an accumulation slides over each axis."""
    notes = dict(stage.node.annotations.items())
    taps = [int(v.dom.extent) for v in stage.node.iter_vars][len(stage.axes) :]
    sizes = zip(stage.extents[1:-1], taps, notes["stride"], notes["dilation"], strict=True)
    return tuple(
        Slide(outputs, count, int(stride), int(dilation))
        for outputs, count, stride, dilation in sizes
    )


def epilogue_of(sch: Any, stage: Stage) -> Any:
    """The one elementwise reader that walks positions and channels as the accumulation does."""
    readers = sch.get_consumers(stage.block)
    if len(readers) != 1:
        return None
    reader = stage_of(sch, readers[0])
    loads = [load for load in reader.loads if load.source.same_as(stage.store.buffer)]
    rank = len(stage.axes) - 1
    if reader.kind != "injective" or reader.template or len(loads) != 1:
        return None
    same = reader.extents[-rank:] == stage.extents[-rank:]
    pairs = zip(loads[0].indices[-rank:], reader.axes[-rank:], strict=True)
    return readers[0] if same and all(index.same_as(axis) for index, axis in pairs) else None


def sum_bits(stage: Stage) -> int:
    """Bits of an element of the accumulation."""
    return int("".join(filter(str.isdigit, str(stage.store.buffer.ty.dtype))))
