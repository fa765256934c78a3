"""How many units each group keeps, and which: low scores go until a goal is met."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Literal

import numpy as np

from ...compiler.coupling import Group
from .units import Floats, Keep

Scope = Literal["global", "layer"]
Cost = Callable[[Mapping[Group, Keep]], float]
_CLOSE = 0.01  # of the goal, within which no better choice is looked for
_MOST_FOR_PAIRS = 16  # groups; with more of them, single steps are fine enough


@dataclass(frozen=True)
class Limits:
    """What a group may keep: `least` or more units, all or a multiple of `step`.

    Args:
        scores: One per unit, low ones go first.
        least: Fewest units to keep, at least 1.
        step: Units that fill whole vectors of the kernels.
    """

    scores: Floats
    least: int
    step: int

    @property
    def size(self) -> int:
        """Units before pruning."""
        return len(self.scores)

    @property
    def smallest(self) -> int:
        """The smallest count that may be kept."""
        count = ceil(self.least / self.step) * self.step
        return count if count <= self.size else self.size

    def allowed(self, wanted: float) -> int:
        """The count nearest to `wanted` that may be kept, the larger of two."""
        below = int(wanted // self.step) * self.step
        choices = (below, below + self.step, self.size, self.smallest)
        fit = [count for count in choices if self.least <= count <= self.size]
        return min(fit, key=lambda count: (abs(count - wanted), -count))

    def fewer(self, count: int) -> int | None:
        """The next smaller count that may be kept."""
        lower = (ceil(count / self.step) - 1) * self.step
        return lower if lower >= self.least else None

    def more(self, count: int) -> int | None:
        """The next larger count that may be kept."""
        if count == self.size:
            return None
        return min(self.size, (count // self.step + 1) * self.step)

    def keep(self, count: int) -> Keep:
        """The `count` units of the largest scores; of equal ones the first."""
        mask = np.zeros(self.size, np.bool_)
        mask[np.argsort(-self.scores, kind="stable")[:count]] = True
        return mask


def allocate_ratio(limits: Mapping[Group, Limits], ratio: float, scope: Scope) -> dict[Group, int]:
    """Counts to keep when about `ratio` of all units go: of each group alike, or of all at once."""
    if scope == "layer" or not limits:
        return {group: each.allowed((1 - ratio) * each.size) for group, each in limits.items()}
    total = sum(each.size for each in limits.values())
    return allocate_cost(limits, _units, (1 - ratio) * total, scope)


def _units(widths: Mapping[Group, Keep]) -> float:
    """How many units are kept."""
    return float(sum(np.count_nonzero(mask) for mask in widths.values()))


def allocate_cost(
    limits: Mapping[Group, Limits], cost: Cost, goal: float, scope: Scope
) -> dict[Group, int]:
    """Counts to keep whose cost is as near to `goal` as found; costs fall with the counts.

    The number of units that go is found by bisection. Where that misses the goal by over 1 %,
    because counts come in steps, single groups then keep a step more or less.
    """
    total = sum(each.size for each in limits.values())

    def at(dropped: int) -> dict[Group, int]:
        if scope == "layer":
            return allocate_ratio(limits, dropped / total, scope)
        return _lowest(limits, dropped)

    def cost_of(counts: Mapping[Group, int]) -> float:
        return cost({group: limits[group].keep(count) for group, count in counts.items()})

    low, high = 0, total  # dropping `low` costs more than the goal, dropping `high` no more
    while high - low > 1:
        middle = (low + high) // 2
        if cost_of(at(middle)) > goal:
            low = middle
        else:
            high = middle
    best = min((at(low), at(high)), key=lambda counts: abs(cost_of(counts) - goal))
    return _adjusted(limits, best, cost_of, goal)


def _lowest(limits: Mapping[Group, Limits], dropped: int) -> dict[Group, int]:
    """Counts when the `dropped` lowest of all scores go, as far as limits allow."""
    everything = np.concatenate([_falling(each) for each in limits.values()])
    owners = np.repeat(np.arange(len(limits)), [each.size for each in limits.values()])
    gone = np.argsort(everything, kind="stable")[:dropped]
    counts = np.bincount(owners[gone], minlength=len(limits))
    return {
        group: each.allowed(each.size - int(count))
        for (group, each), count in zip(limits.items(), counts, strict=True)
    }


def _falling(limits: Limits) -> Floats:
    """Scores in the order in which units go; those that may not go come last of all groups."""
    scores: Floats = np.sort(limits.scores)
    scores[limits.size - limits.least :] = np.inf
    return scores


def _adjusted(
    limits: Mapping[Group, Limits],
    counts: dict[Group, int],
    cost_of: Callable[[Mapping[Group, int]], float],
    goal: float,
) -> dict[Group, int]:
    """Counts after steps of single groups, or where those do not help of pairs, to the goal."""
    current = cost_of(counts)
    while abs(current - goal) > _CLOSE * goal:
        for changes in (_steps(limits, counts), _pairs(limits, counts)):
            costs = [cost_of({**counts, **change}) for change in changes]
            best = min(range(len(costs)), key=lambda i: abs(costs[i] - goal), default=None)
            if best is not None and abs(costs[best] - goal) < abs(current - goal):
                counts, current = {**counts, **changes[best]}, costs[best]
                break
        else:
            break
    return counts


def _steps(limits: Mapping[Group, Limits], counts: Mapping[Group, int]) -> list[dict[Group, int]]:
    """Every change of one group by one step."""
    found = []
    for group, each in limits.items():
        for count in (each.fewer(counts[group]), each.more(counts[group])):
            if count is not None:
                found.append({group: count})
    return found


def _pairs(limits: Mapping[Group, Limits], counts: Mapping[Group, int]) -> list[dict[Group, int]]:
    """Changes where one group gets a step more and another one a step less, if not too many."""
    if len(limits) > _MOST_FOR_PAIRS:
        return []
    steps = _steps(limits, counts)
    more = [step for step in steps if all(count > counts[g] for g, count in step.items())]
    fewer = [step for step in steps if step not in more]
    return [{**up, **down} for up in more for down in fewer if up.keys() != down.keys()]
