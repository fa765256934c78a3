"""One register tile of the products: a few tiles by a few vectors of output channels.

    M[t, o] = sum_c V[t, c] * U[c, o]

The sums stay in registers over all input channels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd
from typing import Any

from tvm import tirx

from .buffers import Buffers, local
from .loops import for_each, sequence, unrolled, vector
from .plan import Plan

_STEPS = 4  # channels that are unrolled where inputs are broadcast
_VECTORS = 2  # vectors of channels that are unrolled where products are by lane

Left = Callable[[Any, Any], Any]  # row, step -> input


@dataclass(frozen=True)
class RegisterTile:
    """The products of one position, one panel of tiles and one panel of output channels."""

    plan: Plan
    buffers: Buffers
    block: Any
    panel: Any
    position: Any
    columns: Any  # which panel of output channels

    def statement(self) -> Any:
        """Start at zero, add up, store."""
        plan = self.plan
        sums = local((plan.rows, plan.vectors, plan.lanes), "sums")
        where = [self.block, self.panel, self.columns, self.position]

        def zero(*at: Any) -> Any:
            return tirx.BufferStore(sums, tirx.const(0, "float32"), at)

        def store(r: Any, v: Any, lane: Any) -> Any:
            place = r * plan.columns + v * plan.lanes + lane
            value = tirx.BufferLoad(sums, [r, v, lane])
            return tirx.BufferStore(self.buffers.products, value, [*where, place])

        whole, rest = divmod(plan.depth, plan.lanes)
        together = gcd(whole, _VECTORS) if plan.by_lane else 1

        def group(i: Any) -> Any:
            return unrolled(together, lambda j: self._channels(sums, i * together + j, plan.lanes))

        return sequence(
            tirx.AllocBuffer(sums),
            self._each(zero),
            for_each(whole // max(together, 1), group),
            self._channels(sums, whole, rest),
            self._each(store),
        )

    def _each(self, element: Callable[[Any, Any, Any], Any]) -> Any:
        """`element(row, vector, lane)` for every sum."""
        plan = self.plan

        def row(r: Any) -> Any:
            return unrolled(plan.vectors, lambda v: vector(plan.lanes, lambda i: element(r, v, i)))

        return unrolled(plan.rows, row)

    def _channels(self, sums: Any, channels: Any, count: int) -> Any:
        """Add the first `count` channels of one vector of channels."""
        plan = self.plan
        if not plan.by_lane:
            unroll = gcd(count, _STEPS)

            def steps(i: Any) -> Any:
                return unrolled(
                    unroll, lambda j: self._step(sums, channels, i * unroll + j, broadcast)
                )

            def broadcast(r: Any, step: Any) -> Any:
                return self._input(channels, r, step)

            return for_each(count // max(unroll, 1), steps)
        return self._by_lane(sums, channels, count)

    def _by_lane(self, sums: Any, channels: Any, count: int) -> Any:
        """As `_channels`: load the inputs as vectors, then multiply by one lane after the other."""
        plan = self.plan
        if count == 0:
            return None
        inputs = local((plan.rows, plan.lanes), "row")

        def load(r: Any) -> Any:
            return vector(
                count,
                lambda lane: tirx.BufferStore(inputs, self._input(channels, r, lane), [r, lane]),
            )

        def lane(r: Any, step: Any) -> Any:
            return tirx.BufferLoad(inputs, [r, step])

        return sequence(
            tirx.AllocBuffer(inputs),
            unrolled(plan.rows, load),
            unrolled(count, lambda step: self._step(sums, channels, step, lane)),
        )

    def _input(self, channels: Any, r: Any, step: Any) -> Any:
        place = (channels * self.plan.rows + r) * self.plan.lanes + step
        where = [self.block, self.panel, self.position]
        return tirx.BufferLoad(self.buffers.inputs, [*where, place])

    def _step(self, sums: Any, channels: Any, step: Any, left: Left) -> Any:
        """Add one channel: every row times every column."""
        plan = self.plan
        channel = channels * plan.lanes + step

        def add(r: Any, v: Any, lane: Any) -> Any:
            index = [self.position, self.columns, channel, v * plan.lanes + lane]
            weight = tirx.BufferLoad(self.buffers.weights, index)
            total = tirx.BufferLoad(sums, [r, v, lane]) + left(r, step) * weight
            return tirx.BufferStore(sums, total, [r, v, lane])

        return self._each(add)
