"""One register tile of the products: a few tiles by a few vectors of output channels.

    M[t, o] = sum_c V[t, c] * U[c, o]

The sums stay in registers over all input channels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import gcd
from typing import Any

from tvm import tirx

from .buffers import Buffers, local
from .loops import for_each, sequence, unrolled, vector
from .plan import Plan

_STEPS = 4  # channels that are unrolled where inputs are broadcast
_VECTORS = 2  # vectors of channels that are unrolled where products are by lane

Input = Callable[[Any, Any], Any]  # row, channel in its vector -> expression


@dataclass(frozen=True)
class RegisterTile:
    """The products of one position, one panel of tiles and one panel of output channels."""

    plan: Plan
    buffers: Buffers
    slot: Any  # which scratch memory
    panel: Any
    position: Any
    columns: Any  # which panel of output channels

    def statement(self) -> Any:
        """Add up over all input channels, store."""
        plan = self.plan
        sums = local((plan.rows, plan.vectors, plan.lanes), "sums")
        where = [self.slot, self.panel, self.columns, self.position]

        def store(r: Any, v: Any, lane: Any) -> Any:
            place = r * plan.columns + v * plan.lanes + lane
            value = tirx.BufferLoad(sums, [r, v, lane])
            return tirx.BufferStore(self.buffers.products, value, [*where, place])

        add_up = self._by_lane(sums) if plan.by_lane else self._by_broadcast(sums)
        return sequence(tirx.AllocBuffer(sums), add_up, self._each(store))

    def _by_broadcast(self, sums: Any) -> Any:
        """Start at zero; every input is loaded into all lanes of a vector."""
        plan = self.plan
        whole, rest = divmod(plan.depth, plan.lanes)

        def zero(*at: Any) -> Any:
            return tirx.BufferStore(sums, tirx.const(0, "float32"), at)

        def channels(which: Any, count: int) -> Any:
            together = max(1, gcd(count, _STEPS))

            def step(channel: Any) -> Any:
                return self._step(sums, which, channel, partial(self._input, which))

            return for_each(
                count // together, lambda i: unrolled(together, lambda j: step(i * together + j))
            )

        return sequence(
            self._each(zero),
            for_each(whole, lambda which: channels(which, plan.lanes)),
            channels(whole, rest),
        )

    def _by_lane(self, sums: Any) -> Any:
        """Inputs are loaded as vectors, each product is with one lane of them.

        The sums start with the products of the first channel, which stand in front of the loop.
        """
        plan = self.plan
        whole, rest = divmod(plan.depth, plan.lanes)
        together = max(1, gcd(whole, _VECTORS))

        def group(index: Any) -> Any:
            first = index * together
            return unrolled(together, lambda i: self._channels(sums, first + i, plan.lanes))

        front = [self._channels(sums, i, plan.lanes, starts=i == 0) for i in range(together)]
        tail = self._channels(sums, whole, rest, starts=whole == 0) if rest else None
        if whole == 0:
            return tail
        return sequence(*front, for_each(whole // together - 1, lambda i: group(i + 1)), tail)

    def _channels(self, sums: Any, which: Any, count: int, *, starts: bool = False) -> Any:
        """Add the first `count` channels of one vector of channels, by lane."""
        inputs = local((self.plan.rows, self.plan.lanes), "inputs")

        def load(r: Any) -> Any:
            return vector(
                count, lambda lane: tirx.BufferStore(inputs, self._input(which, r, lane), [r, lane])
            )

        def read(r: Any, channel: Any) -> Any:
            return tirx.BufferLoad(inputs, [r, channel])

        steps = [
            self._step(sums, which, channel, read, starts=starts and channel == 0)
            for channel in range(count)
        ]
        return sequence(tirx.AllocBuffer(inputs), unrolled(self.plan.rows, load), *steps)

    def _input(self, which: Any, r: Any, channel: Any) -> Any:
        place = self.plan.input_place(self.panel, self.position, which, r, channel)
        return tirx.BufferLoad(self.buffers.inputs, [self.slot, place])

    def _step(
        self, sums: Any, which: Any, channel: Any, read: Input, *, starts: bool = False
    ) -> Any:
        """Add one channel: every row times every column; or start with it."""
        plan = self.plan

        def element(r: Any, v: Any, lane: Any) -> Any:
            place = [which * plan.lanes + channel, v * plan.lanes + lane]
            weight = tirx.BufferLoad(self.buffers.weights, [self.position, self.columns, *place])
            value = read(r, channel) * weight
            total = value if starts else tirx.BufferLoad(sums, [r, v, lane]) + value
            return tirx.BufferStore(sums, total, [r, v, lane])

        return self._each(element)

    def _each(self, element: Callable[[Any, Any, Any], Any]) -> Any:
        """`element(row, vector, lane)` for every sum."""
        plan = self.plan

        def row(r: Any) -> Any:
            return unrolled(plan.vectors, lambda v: vector(plan.lanes, lambda i: element(r, v, i)))

        return unrolled(plan.rows, row)
