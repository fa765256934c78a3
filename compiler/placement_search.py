"""Branch and bound: the smallest placement of blocks, proven where the search ends in time.

In a smallest placement every block can be moved down until it lies at 0 or rests on another one.
So it is enough to place blocks in the order of their offsets, each as low as those before it allow.
Source: the canonical solutions of MiniMalloc (Moffitt, ASPLOS 2023).
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from .placement_gaps import Gaps, Placement, lower_bound


def search(gaps: Gaps, best: Placement, enough: int, nodes: int) -> Placement:
    """The smallest placement, or the smallest seen among the first `nodes` partial ones.

    Args:
        gaps: The blocks and their distances.
        best: A placement to improve on.
        enough: A total at which to stop.
        nodes: Most partial placements to look at.
    """
    state = _Search(gaps, best, enough, nodes)
    state.run()
    if state.nodes > 0 and state.best.total > enough:  # nothing was left out
        return Placement(state.best.offsets, state.best.total, state.best.total)
    return state.best


@dataclass
class _Search:
    gaps: Gaps
    best: Placement
    enough: int
    nodes: int
    offsets: dict[int, int] = field(default_factory=dict)
    crowds: list[list[int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        blocks = self.gaps.blocks
        self.crowds = [
            [i for i, block in enumerate(blocks) if block.first <= step <= block.last]
            for step in sorted({block.first for block in blocks})
        ]

    def run(self) -> None:
        """Try everything that could be smaller than the best."""
        todo = [self._choices((-1, -1))]
        while todo and self.nodes > 0 and self.best.total > self.enough:
            choice = next(todo[-1], None)
            if choice is None:
                todo.pop()
                if self.offsets and todo:
                    self.offsets.popitem()
                continue
            offset, index = choice
            self.nodes -= 1
            self.offsets[index] = offset
            todo.append(self._choices(choice))

    def _choices(self, last: tuple[int, int]) -> Iterator[tuple[int, int]]:
        """Blocks to place next, not below the last one, with their offsets; the lowest first."""
        blocks = self.gaps.blocks
        low = {i: self._lowest(i) for i in range(len(blocks)) if i not in self.offsets}
        if not low:
            total = max(self.offsets[i] + blocks[i].size for i in self.offsets)
            if total < self.best.total:
                offsets = tuple(self.offsets[i] for i in range(len(blocks)))
                self.best = Placement(offsets, total, self.best.bound)
            return
        if not self._can_improve(low, last[0]):
            return
        for offset, index in sorted((offset, index) for index, offset in low.items()):
            after = offset > last[0] or (offset == last[0] and self._follows(index, last[1]))
            if after and offset + blocks[index].size < self.best.total:
                yield offset, index

    def _follows(self, index: int, last: int) -> bool:
        """Whether a block may be placed behind another with the same offset.

        The order of blocks that do not depend on each other is fixed, so that it is tried once.
        """
        return index > last or any(other == last for other, _, _ in self.gaps.neighbors[index])

    def _lowest(self, index: int) -> int:
        """The lowest offset of a block above all that are placed."""
        placed = self.offsets
        return max(
            (placed[k] + above for k, _, above in self.gaps.neighbors[index] if k in placed),
            default=0,
        )

    def _can_improve(self, low: dict[int, int], floor: int) -> bool:
        """Whether, in every step, the blocks that are left fit above those that are placed."""
        blocks = self.gaps.blocks
        for crowd in self.crowds:
            left = [index for index in crowd if index in low]
            if not left:
                continue
            base = max(floor, min(low[index] for index in left))
            room = self.best.total - base
            if sum(blocks[index].size for index in left) >= room and self._least(left) >= room:
                return False
        return True

    def _least(self, indices: list[int]) -> int:
        """Bytes that some blocks of one step need at least."""
        number = {index: position for position, index in enumerate(indices)}
        pairs = [
            type(pair)(source=number[pair.source], result=number[pair.result], lead=pair.lead)
            for pair in self.gaps.overlaps
            if pair.source in number and pair.result in number
        ]
        return lower_bound([self.gaps.blocks[index] for index in indices], pairs)
