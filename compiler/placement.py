"""Blocks of memory with lifetimes -> offsets in one arena, so that live blocks never overlap.

A layer that reads its input in the order in which it writes its result may leave the result where
the input was, as long as writing stays behind reading: the result starts some bytes before the
input, the *lead*. An `Overlap` allows that for a pair of blocks. Sources: overlapping buffers as in
"Diagonal Memory Optimisation" (Blacker et al. 2020); greedy orders as in Pisarchyk and Lee 2020,
"Efficient Memory Management for Deep Neural Net Inference".
"""

from collections.abc import Callable, Iterator, Sequence

from .placement_gaps import Block, Gaps, Overlap, Placement, lower_bound
from .placement_search import search

__all__ = ["Block", "Overlap", "Placement", "lower_bound", "place"]

_IMPROVEMENT_EDGES = 400_000  # neighbors looked at while improving an order: well under a second
_SEARCH_EDGES = 3_000_000  # the same while searching exhaustively: about two seconds


def place(
    blocks: Sequence[Block],
    overlaps: Sequence[Overlap] = (),
    *,
    good_enough: int = 0,
) -> Placement:
    """The smallest placement found: greedy ones first, then branch and bound if none is optimal.

    Sizes keep the alignment they come with.

    Args:
        blocks: What to place.
        overlaps: Pairs that may share memory.
        good_enough: A size at which to stop looking for a smaller one.
    """
    gaps = Gaps(blocks, overlaps)
    bound = lower_bound(blocks, overlaps)
    enough = max(bound, good_enough)
    best_order, best = [], Placement((), -1, bound)
    for order in _orders(blocks):
        placed = _place_in(order, gaps, bound)
        if best.total < 0 or placed.total < best.total:
            best_order, best = order, placed
        if best.total <= enough:
            return best
    best = _improve(best_order, best, enough, gaps)
    if best.total > enough:
        edges = len(blocks) + sum(map(len, gaps.neighbors))
        best = search(gaps, best, enough, nodes=_SEARCH_EDGES // edges)
    return best


def _orders(blocks: Sequence[Block]) -> Iterator[list[int]]:
    """Orders worth trying: big blocks first, long ones first, crowded steps first, as they come."""
    keys: tuple[Callable[[Block], tuple[int, ...]], ...] = (
        lambda block: (-block.size, -block.steps),
        lambda block: (-block.size * block.steps,),
        lambda block: (-block.steps, -block.size),
        lambda block: (block.first, -block.size),
        lambda block: (-block.last, -block.size),
    )
    for key in keys:
        yield sorted(range(len(blocks)), key=lambda index: (key(blocks[index]), index))
    yield _by_breadth(blocks)


def _by_breadth(blocks: Sequence[Block]) -> list[int]:
    """All blocks of the step with the most live bytes, then of the next; big ones first."""
    starts: dict[int, list[int]] = {}
    for index, block in enumerate(blocks):
        starts.setdefault(block.first, []).append(index)
    live: dict[int, list[int]] = {}
    active: list[int] = []
    for step in sorted(starts):  # a step where nothing starts is never the most crowded
        active = [index for index in active if blocks[index].last >= step] + starts[step]
        live[step] = active
    crowded = sorted(live, key=lambda step: (-sum(blocks[i].size for i in live[step]), step))
    order: dict[int, None] = {}
    for step in crowded:
        order.update(dict.fromkeys(sorted(live[step], key=lambda i: (-blocks[i].size, i))))
    return list(order)


def _place_in(order: Sequence[int], gaps: Gaps, bound: int) -> Placement:
    blocks = gaps.blocks
    offsets = [-1] * len(blocks)
    total = 0
    for index in order:
        taken = []
        for other, below, above in gaps.neighbors[index]:
            if offsets[other] < 0 or not blocks[other].size:
                continue
            first, last = offsets[other] - below, offsets[other] + above
            exact = gaps.exact.get((index, other))
            if exact is None:
                taken.append((first, last))
            else:
                taken += [(first, offsets[other] + exact), (offsets[other] + exact, last)]
        offsets[index] = _best_fit(sorted(taken))
        total = max(total, offsets[index] + blocks[index].size)
    return Placement(tuple(offsets), total, bound)


def _best_fit(taken: Sequence[tuple[int, int]]) -> int:
    """The lowest place in the smallest gap; above everything if there is none.

    Args:
        taken: Sorted open intervals in which the block must not start.
    """
    best, best_room, end = -1, 0, 0
    for start, stop in taken:
        room = start - end
        if room >= 0 and (best < 0 or room < best_room):
            best, best_room = end, room
        end = max(end, stop)
    return end if best < 0 else best


def _improve(order: list[int], best: Placement, enough: int, gaps: Gaps) -> Placement:
    """Place the blocks that reach the top earlier, again and again, while time allows."""
    blocks = gaps.blocks
    edges = len(blocks) + sum(map(len, gaps.neighbors))
    current = best
    for _ in range(min(60, _IMPROVEMENT_EDGES // max(1, edges))):
        top = {i for i in order if current.offsets[i] + blocks[i].size == current.total}
        order = [i for i in order if i in top] + [i for i in order if i not in top]
        current = _place_in(order, gaps, best.bound)
        if current.total < best.total:
            best = current
        if best.total <= enough:
            break
    return best
