"""Branch and bound: the smallest placement of blocks, proven where the search ends in time.

Two blocks that live at once lie one way round or the other. Every decision bounds the offsets of
others from both sides, and so forces further ones; decisions are only taken where the lowest
offsets still clash. Source: the search for job shop schedules of Carlier and Pinson (1989), where
machines are steps and jobs are blocks.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from .placement_gaps import Gaps, Placement

_Pair = tuple[int, int, int]  # the first block starts at least so many bytes before the second
_Way = tuple[_Pair, ...]  # one way round: all of these


def search(gaps: Gaps, best: Placement, enough: int, nodes: int) -> Placement:
    """The smallest placement, or the smallest that was found in time.

    Args:
        gaps: The blocks and their distances.
        best: A placement to improve on.
        enough: A total at which to stop.
        nodes: Most decisions to look at.
    """
    unit = _unit(gaps)
    while best.total > enough:
        attempt = _Attempt(gaps, best.total - unit, nodes)
        offsets = attempt.run()
        nodes = attempt.nodes
        if offsets is not None:
            total = max(o + b.size for o, b in zip(offsets, gaps.blocks, strict=True))
            best = Placement(tuple(offsets), total, best.bound)
        elif nodes > 0:  # there is none
            return Placement(best.offsets, best.total, best.total)
        else:
            break
    return best


def _unit(gaps: Gaps) -> int:
    """A power of two that divides all sizes and distances, so that it divides all totals."""
    numbers = [block.size for block in gaps.blocks]
    numbers += [gap for near in gaps.neighbors for _, *both in near for gap in both]
    numbers += map(abs, gaps.exact.values())
    together = 0
    for number in numbers:
        together |= number
    return together & -together or 1


@dataclass
class _State:
    """Bounds of all offsets under the decisions so far."""

    low: list[int]
    high: list[int]
    decided: dict[int, list[tuple[int, int]]]  # block -> (block that starts after it, by how much)
    before: dict[int, list[tuple[int, int]]]  # the same, backwards
    done: set[tuple[int, int]]  # pairs that are decided, the smaller index first

    def copy(self) -> "_State":
        return _State(
            self.low[:],
            self.high[:],
            {block: edges[:] for block, edges in self.decided.items()},
            {block: edges[:] for block, edges in self.before.items()},
            set(self.done),
        )


@dataclass
class _Attempt:
    """Looks for offsets with which all blocks end at `total` or before."""

    gaps: Gaps
    total: int
    nodes: int

    def run(self) -> list[int] | None:
        blocks = self.gaps.blocks
        start = _State([0] * len(blocks), [self.total - b.size for b in blocks], {}, {}, set())
        todo = [iter([start])] if self._settle(start, list(range(len(blocks)))) else []
        while todo and self.nodes > 0:
            state = next(todo[-1], None)
            if state is None:
                todo.pop()
                continue
            self.nodes -= 1
            clash = self._clash(state)
            if clash is None:
                return state.low
            todo.append(self._decide(state, clash))
        return None

    def _clash(self, state: _State) -> list[_Way] | None:
        """The ways to part two blocks that overlap at their lowest offsets, and can move least.

        The way with more freedom comes first, the exact distance last.
        """
        least, found = -1, None
        for one, near in enumerate(self.gaps.neighbors):
            for other, below, above in near:
                if other < one or (one, other) in state.done:
                    continue
                distance = state.low[other] - state.low[one]
                exact = self.gaps.exact.get((other, one))
                if distance >= below or -distance >= above or distance == exact:
                    continue
                forward = state.high[other] - state.low[one] - below
                backward = state.high[one] - state.low[other] - above
                if found is None or forward + backward < least:
                    least, found = forward + backward, (one, other, below, above)
                    is_forward = forward >= backward
        if found is None:
            return None
        ways = self._ways(*found)
        return ways if is_forward else [ways[1], ways[0], *ways[2:]]

    def _ways(self, one: int, other: int, below: int, above: int) -> list[_Way]:
        """How two blocks can lie: the first before the second, after it, at the exact distance."""
        ways: list[_Way] = [((one, other, below),), ((other, one, above),)]
        exact = self.gaps.exact.get((other, one))
        if exact is not None:
            ways.append(((one, other, exact), (other, one, -exact)))
        return ways

    def _decide(self, state: _State, ways: list[_Way]) -> Iterator[_State]:
        for way in ways:
            following = state.copy()
            if self._take(following, way) and self._settle(following, list(way[0][:2])):
                yield following

    def _take(self, state: _State, way: _Way) -> bool:
        return all(self._add(state, pair) for pair in way)

    def _add(self, state: _State, pair: _Pair) -> bool:
        """Note that one block starts before another; False if it cannot."""
        one, other, gap = pair
        state.done.add((min(one, other), max(one, other)))
        state.decided.setdefault(one, []).append((other, gap))
        state.before.setdefault(other, []).append((one, gap))
        state.low[other] = max(state.low[other], state.low[one] + gap)
        state.high[one] = min(state.high[one], state.high[other] - gap)
        return state.low[one] <= state.high[one] and state.low[other] <= state.high[other]

    def _settle(self, state: _State, changed: list[int]) -> bool:
        """Follow all consequences of changed bounds; False if the blocks do not fit."""
        while changed:
            block = changed.pop()
            low, high = state.low, state.high
            if low[block] > high[block]:
                return False
            for other, gap in state.decided.get(block, ()):
                if low[other] < low[block] + gap:
                    low[other] = low[block] + gap
                    changed.append(other)
            for other, gap in state.before.get(block, ()):
                if high[other] > high[block] - gap:
                    high[other] = high[block] - gap
                    changed.append(other)
            for other, below, above in self.gaps.neighbors[block]:
                if (min(block, other), max(block, other)) in state.done:
                    continue
                ways = self._ways(block, other, below, above)
                possible = [way for way in ways if all(low[a] + d <= high[b] for a, b, d in way)]
                if not possible:
                    return False
                if len(possible) == 1:
                    if not self._take(state, possible[0]):
                        return False
                    changed += [block, other]
        return True
