"""Placements of blocks, against all orders in which pairs of blocks can lie."""

from itertools import chain, permutations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from penjing.compiler.placement import Block, Overlap, lower_bound, place
from penjing.compiler.placement_gaps import Gaps


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Block], list[Overlap]]:
    """A few blocks, and overlaps of some that end where others begin."""
    blocks = []
    for _ in range(draw(st.integers(1, 6))):
        first = draw(st.integers(0, 4))
        last = first + draw(st.integers(0, 2))
        blocks.append(Block(size=draw(st.integers(0, 6)), first=first, last=last))
    overlaps = [
        Overlap(
            source=source, result=result, lead=draw(st.integers(-1, 6)), exact=draw(st.booleans())
        )
        for source, result in permutations(range(len(blocks)), 2)
        if blocks[source].last == blocks[result].first > blocks[source].first
        and draw(st.booleans())
    ]
    return blocks, overlaps


def smallest_total(blocks: list[Block], overlaps: list[Overlap]) -> int:
    """The least total: every pair in either order, all blocks as low as that allows."""
    gaps = Gaps(blocks, overlaps)
    pairs = []
    for one, other, below, above in (
        (one, *near) for one, neighbors in enumerate(gaps.neighbors) for near in neighbors
    ):
        if one < other:
            ways = [[(one, other, below)], [(other, one, above)]]
            if (exact := gaps.exact.get((other, one))) is not None:
                ways.append([(one, other, exact), (other, one, -exact)])
            pairs.append(ways)
    best = sum(block.size for block in blocks)
    for orders in product(*pairs):
        offsets = [0] * len(blocks)
        for _ in range(len(blocks) + 1):  # longest paths; a cycle never comes to rest
            before = list(offsets)
            for low, high, gap in chain.from_iterable(orders):
                offsets[high] = max(offsets[high], offsets[low] + gap)
            if offsets == before:
                best = min(best, max(o + b.size for o, b in zip(offsets, blocks, strict=True)))
                break
    return best


@settings(max_examples=120, deadline=None)
@given(problems())
def test_small_problems_are_solved_exactly(problem: tuple[list[Block], list[Overlap]]) -> None:
    blocks, overlaps = problem
    placed = place(blocks, overlaps)
    best = smallest_total(blocks, overlaps)
    assert (placed.total, placed.bound) == (best, best)
    assert lower_bound(blocks, overlaps) <= best
    pairs = {(pair.source, pair.result): pair for pair in overlaps}
    leads = {key: max(0, pair.lead) for key, pair in pairs.items()}
    for one, other in permutations(range(len(blocks)), 2):
        here, there = blocks[one], blocks[other]
        meet = here.first <= there.last and there.first <= here.last
        if meet and here.size and there.size:
            distance = placed.offsets[one] - placed.offsets[other]
            after = min(leads.get((one, other), there.size), there.size)
            before = min(leads.get((other, one), here.size), here.size)
            assert distance >= after or -distance >= before
            if (pair := pairs.get((one, other))) is not None and pair.exact:
                assert distance == after or distance >= there.size or -distance >= here.size


def test_a_larger_result_begins_before_what_it_is_made_of() -> None:
    blocks = [Block(size=10, first=0, last=1), Block(size=20, first=1, last=2)]
    placed = place(blocks, [Overlap(source=0, result=1, lead=10)])
    assert (placed.offsets, placed.total) == ((10, 0), 20)


def test_two_sources_of_one_result_stay_apart() -> None:
    blocks = [Block(size=8, first=0, last=1)] * 2 + [Block(size=8, first=1, last=1)]
    overlaps = [Overlap(source=0, result=2, lead=0), Overlap(source=1, result=2, lead=0)]
    assert place(blocks, overlaps).total == lower_bound(blocks, overlaps) == 16


def test_a_total_that_is_good_enough_ends_the_search() -> None:
    blocks = [Block(size=4, first=0, last=1), Block(size=4, first=1, last=2)]
    overlap = Overlap(source=0, result=1, lead=0)
    assert place(blocks, [overlap], good_enough=8).total in (4, 8)
    assert place(blocks, [overlap]).total == 4
