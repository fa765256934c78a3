"""Which way to compute each layer: the fastest ones that do not make the arena larger.

Fast kernels want scratch memory or keep the result away from the input. Only the layers where most
memory is live must do without; all others may have what they want.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from .ir.tensor_spec import TensorSpec
from .lowering.program import Lowered, Value
from .placement import Block, lower_bound
from .planning import SMALL_ARENA_ALIGN, MemoryPlan, leads_of, padded, plan_memory

SLACK = 512  # bytes: what fast layers may make the arena larger


class Way(Protocol):
    """What the planner wants to know of one way to compute a layer."""

    @property
    def scratch_bytes(self) -> int:
        """Memory that the layer needs while it runs."""

    @property
    def leads(self) -> tuple[int | None, ...]:
        """For each of the first reads: bytes that the result must start before it, or None."""

    @property
    def lead_unit(self) -> int:
        """The result starts a lead and a multiple of this before its input."""

    @property
    def cost(self) -> float:
        """Estimated executed instructions."""


def choose_ways(
    lowered: Lowered,
    ways: Mapping[int, Sequence[Way]],
    *,
    align: int = SMALL_ARENA_ALIGN,
    inputs_in_arena: bool = False,
    most_bytes: int | None = None,
) -> dict[int, int]:
    """For each layer, the position of the cheapest way that hardly makes the arena larger.

    The arena is at most `SLACK` bytes larger than the smallest that any ways can reach.

    Args:
        lowered: The program; calls with several ways have neither leads nor scratch memory yet.
        ways: By position of the call; at least one each.
        align: As for `plan_memory`.
        inputs_in_arena: As for `plan_memory`.
        most_bytes: Size of the arena that must not be exceeded if a smaller one can be reached.
    """
    choice = _Choice(lowered, ways, align, inputs_in_arena)
    smallest, least = choice.descend({step: choice.smallest(step) for step in ways})
    target = least + SLACK
    if most_bytes is not None and most_bytes < target:
        target = max(least, most_bytes)
    chosen = {step: choice.cheapest(step, target) for step in ways}
    if choice.arena(chosen, target) <= target:
        return chosen
    return choice.refine(smallest, chosen, target)


def with_ways(lowered: Lowered, chosen: Mapping[int, Way]) -> Lowered:
    """The program with the leads and the scratch memory (as last argument) of the chosen ways."""
    values, calls = dict(lowered.values), list(lowered.calls)
    for step, way in chosen.items():
        call = calls[step]
        arguments, offsets = call.arguments, call.offsets
        if way.scratch_bytes:
            name = f"scratch{step}"
            spec = TensorSpec((way.scratch_bytes,), "uint8")
            values[name] = Value(name=name, spec=spec, kind="workspace")
            arguments = (*arguments, name)
            offsets = (*offsets, 0) if offsets else ()
        calls[step] = replace(
            call,
            leads=tuple(way.leads),
            lead_unit=way.lead_unit,
            arguments=arguments,
            offsets=offsets,
            inplace=(),
        )
    return replace(lowered, values=values, calls=tuple(calls))


@dataclass
class _Choice:
    lowered: Lowered
    ways: Mapping[int, Sequence[Way]]
    align: int
    inputs_in_arena: bool
    _bounds: dict[tuple[int, int], int] = field(default_factory=dict)
    _live: dict[str, tuple[int, int]] = field(init=False)

    def __post_init__(self) -> None:
        self._live = self._plan(self.lowered, 1 << 62).live

    def arena(self, chosen: Mapping[int, int], enough: int = 0) -> int:
        """Bytes of the arena, or some number up to `enough` if it needs no more than that."""
        return self._plan(self._with(chosen), enough).arena_bytes

    def smallest(self, step: int) -> int:
        """The way with which a step needs least memory, the cheapest of them."""
        options = range(len(self.ways[step]))
        return min(options, key=lambda way: (self.bound(step, way), self.ways[step][way].cost))

    def cheapest(self, step: int, target: int) -> int:
        """The cheapest way with which a step alone needs no more than `target` bytes."""
        fit = [way for way in range(len(self.ways[step])) if self.bound(step, way) <= target]
        return min(fit, key=lambda way: (self.ways[step][way].cost, self.bound(step, way)))

    def descend(self, chosen: dict[int, int]) -> tuple[dict[int, int], int]:
        """Other ways for one layer after another as long as that makes the arena smaller."""
        least = self.arena(chosen)
        bound = max((self.bound(step, way) for step, way in chosen.items()), default=0)
        improved = True
        while improved and least > bound:  # above it, layers hinder each other
            improved = False
            for step, way in ((s, w) for s in chosen for w in range(len(self.ways[s]))):
                if way == chosen[step] or self.bound(step, way) >= least:
                    continue
                other = {**chosen, step: way}
                size = self.arena(other, least - 1)
                if size < least:
                    chosen, improved = other, True
                    least = self.arena(chosen)
        return chosen, least

    def refine(
        self, smallest: dict[int, int], wanted: Mapping[int, int], target: int
    ) -> dict[int, int]:
        """From the smallest ways to cheaper ones, the greatest savings first, one after another."""
        chosen = dict(smallest)

        def saving(step: int) -> float:
            ways = self.ways[step]
            return ways[smallest[step]].cost - ways[wanted[step]].cost

        for step in sorted(wanted, key=lambda step: (-saving(step), step)):
            ways = self.ways[step]
            for way in sorted(range(len(ways)), key=lambda way: ways[way].cost):
                if ways[way].cost >= ways[chosen[step]].cost:
                    break
                if self.bound(step, way) > target:
                    continue
                if self.arena({**chosen, step: way}, target) <= target:
                    chosen[step] = way
                    break
        return chosen

    def bound(self, step: int, way: int) -> int:
        """Bytes that a call needs at least, with all that lives meanwhile."""
        if (step, way) not in self._bounds:
            self._bounds[step, way] = self._bound(self._with({step: way}), step)
        return self._bounds[step, way]

    def _bound(self, lowered: Lowered, step: int) -> int:
        storage = {name: lowered.storage_of(name) for name in lowered.values}
        call = lowered.calls[step]
        here = [name for name, (first, last) in self._live.items() if first <= step <= last]
        roots = list(dict.fromkeys(storage[name] for name in here))
        roots += [name for name in call.arguments if lowered.values[name].kind == "workspace"]
        number = {root: index for index, root in enumerate(dict.fromkeys(roots))}
        blocks = [
            Block(size=padded(lowered.values[root].spec.nbytes, self.align), first=0, last=0)
            for root in number
        ]
        overlaps = [
            lead.overlap(number[source], number[result])
            for (source, result), lead in leads_of(call, storage, self.align).items()
            if self._live.get(source, (0, -1))[1] == step == self._live.get(result, (-1, 0))[0]
        ]
        return lower_bound(blocks, overlaps)

    def _with(self, chosen: Mapping[int, int]) -> Lowered:
        return with_ways(self.lowered, {s: self.ways[s][way] for s, way in chosen.items()})

    def _plan(self, lowered: Lowered, good_enough: int) -> MemoryPlan:
        return plan_memory(
            lowered,
            align=self.align,
            inputs_in_arena=self.inputs_in_arena,
            good_enough=good_enough,
        )
