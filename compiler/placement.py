"""Blocks of memory with lifetimes -> offsets in one arena, so that live blocks never overlap."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_IMPROVEMENT_EDGES = 400_000  # neighbors looked at while improving an order: well under a second


@dataclass(frozen=True, kw_only=True)
class Block:
    """`size` bytes that must stay untouched in the steps `first` to `last`, both included."""

    size: int
    first: int
    last: int

    def __post_init__(self) -> None:
        if self.size < 0 or self.last < self.first:
            raise ValueError(f"not a block: {self}")

    @property
    def steps(self) -> int:
        """How long the block lives."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Placement:
    """An offset for each block, and the bytes they need together."""

    offsets: tuple[int, ...]
    total: int


def peak_bytes(blocks: Sequence[Block]) -> int:
    """The most bytes that live in one step: no placement needs less."""
    changes: dict[int, int] = {}
    for block in blocks:
        changes[block.first] = changes.get(block.first, 0) + block.size
        changes[block.last + 1] = changes.get(block.last + 1, 0) - block.size
    live = most = 0
    for step in sorted(changes):
        live += changes[step]
        most = max(most, live)
    return most


def place(blocks: Sequence[Block]) -> Placement:
    """The smallest of several greedy placements; sizes keep the alignment they come with."""
    bound = peak_bytes(blocks)
    neighbors = _neighbors(blocks)
    best_order, best = [], Placement((), -1)
    for order in _orders(blocks):
        placed = _place_in(order, blocks, neighbors)
        if best.total < 0 or placed.total < best.total:
            best_order, best = order, placed
        if best.total == bound:
            return best
    return _improve(best_order, best, bound, blocks, neighbors)


def _neighbors(blocks: Sequence[Block]) -> list[list[int]]:
    """For each block, those that share a step with it."""
    neighbors: list[list[int]] = [[] for _ in blocks]
    active: list[int] = []
    for index in sorted(range(len(blocks)), key=lambda i: blocks[i].first):
        active = [other for other in active if blocks[other].last >= blocks[index].first]
        for other in active:
            neighbors[other].append(index)
        neighbors[index].extend(active)
        active.append(index)
    return neighbors


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


def _place_in(
    order: Sequence[int], blocks: Sequence[Block], neighbors: Sequence[Sequence[int]]
) -> Placement:
    offsets = [-1] * len(blocks)
    total = 0
    for index in order:
        size = blocks[index].size
        taken = [
            (offsets[other], offsets[other] + blocks[other].size)
            for other in neighbors[index]
            if offsets[other] >= 0 and blocks[other].size
        ]
        offsets[index] = _best_fit(size, sorted(taken))
        total = max(total, offsets[index] + size)
    return Placement(tuple(offsets), total)


def _best_fit(size: int, taken: Sequence[tuple[int, int]]) -> int:
    """The start of the smallest gap that holds `size` bytes; above everything if none does."""
    best, best_gap, end = -1, 0, 0
    for start, stop in taken:
        gap = start - end
        if gap >= size and (best < 0 or gap < best_gap):
            best, best_gap = end, gap
        end = max(end, stop)
    return end if best < 0 else best


def _improve(
    order: list[int],
    best: Placement,
    bound: int,
    blocks: Sequence[Block],
    neighbors: Sequence[Sequence[int]],
) -> Placement:
    """Place the blocks that reach the top earlier, again and again, while time allows."""
    edges = len(blocks) + sum(map(len, neighbors))
    current = best
    for _ in range(min(60, _IMPROVEMENT_EDGES // max(1, edges))):
        top = {i for i in order if current.offsets[i] + blocks[i].size == current.total}
        order = [i for i in order if i in top] + [i for i in order if i not in top]
        current = _place_in(order, blocks, neighbors)
        if current.total < best.total:
            best = current
        if best.total == bound:
            break
    return best
