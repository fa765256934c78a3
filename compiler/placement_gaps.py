"""How far apart blocks of memory must start, and the least memory that they need."""

from collections.abc import Sequence
from dataclasses import dataclass, field


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


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Two blocks that may share memory: a result at least `lead` bytes before what it is made of.

    A negative lead, a result that may start after its source, is used as 0. An exact one does not
    let the result start any earlier, unless the two do not share memory at all.
    """

    source: int  # index of the block that is read
    result: int  # index of the block that is written meanwhile
    lead: int
    exact: bool = False


@dataclass(frozen=True)
class Placement:
    """An offset for each block, the bytes they need together, and what they need at least."""

    offsets: tuple[int, ...]
    total: int
    bound: int  # proven: no placement needs less


@dataclass(frozen=True)
class Gaps:
    """For each block, those it must keep away from.

    `neighbors[i]` lists (k, below, above): block i starts at least `below` bytes before block k or
    at least `above` bytes after it. `exact[i, k]` is the one distance, offset of i - offset of k,
    that is allowed besides.
    """

    blocks: Sequence[Block]
    overlaps: Sequence[Overlap] = ()
    neighbors: list[list[tuple[int, int, int]]] = field(init=False)
    exact: dict[tuple[int, int], int] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "neighbors", [[] for _ in self.blocks])
        object.__setattr__(self, "exact", {})
        allowed = {}
        for pair in self.overlaps:
            lead = max(pair.lead, 0)
            if not pair.exact:
                allowed[pair.result, pair.source] = lead
            elif lead < self.blocks[pair.result].size and self.blocks[pair.source].size:
                self.exact[pair.source, pair.result] = lead
                self.exact[pair.result, pair.source] = -lead
        active: list[int] = []
        for index in sorted(range(len(self.blocks)), key=lambda i: self.blocks[i].first):
            active = [k for k in active if self.blocks[k].last >= self.blocks[index].first]
            for other in active:
                self._add(other, index, allowed)
            active.append(index)

    def _add(self, one: int, other: int, allowed: dict[tuple[int, int], int]) -> None:
        one_first = min(self.blocks[one].size, allowed.get((one, other), self.blocks[one].size))
        size = self.blocks[other].size
        other_first = min(size, allowed.get((other, one), size))
        self.neighbors[one].append((other, one_first, other_first))
        self.neighbors[other].append((one, other_first, one_first))


def lower_bound(blocks: Sequence[Block], overlaps: Sequence[Overlap] = ()) -> int:
    """Bytes that no placement can do without: the most that one step needs, what overlaps aside."""
    ends = sorted({block.first for block in blocks})
    pairs = [(pair, *_shared(pair, blocks)) for pair in overlaps]
    live, most = 0, 0
    starts: dict[int, int] = {}
    stops: dict[int, int] = {}
    for block in blocks:
        starts[block.first] = starts.get(block.first, 0) + block.size
        stops[block.last + 1] = stops.get(block.last + 1, 0) + block.size
    finished = sorted(stops)
    position = 0
    for step in ends:
        while position < len(finished) and finished[position] <= step:
            live -= stops[finished[position]]
            position += 1
        live += starts[step]
        here = [(pair, saved) for pair, both, saved in pairs if both[0] <= step <= both[1]]
        most = max(most, live - _most_saved(here, blocks) if here else live)
    return most


def _shared(pair: Overlap, blocks: Sequence[Block]) -> tuple[tuple[int, int], int]:
    """The steps in which both blocks of a pair live, and the bytes that they can share."""
    source, result = blocks[pair.source], blocks[pair.result]
    steps = max(source.first, result.first), min(source.last, result.last)
    union = max(result.size, max(pair.lead, 0) + source.size)
    return steps, max(0, source.size + result.size - union)


def _most_saved(pairs: Sequence[tuple[Overlap, int]], blocks: Sequence[Block]) -> int:
    """Bytes by which overlaps make a step smaller at most: sources stay apart, so do results."""
    sources = {pair.source for pair, _ in pairs}
    results = {pair.result for pair, _ in pairs}
    return min(
        sum(saved for _, saved in pairs),
        sum(blocks[index].size for index in sources),
        sum(blocks[index].size for index in results),
    )
