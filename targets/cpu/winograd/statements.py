"""The statements of a Winograd convolution: transform inputs, multiply, transform back.

    V[p, t, c] = (B^T d B)[p]              d: the patch of inputs of tile t, p: position in it
    M[p, t, o] = sum_c V[p, t, c] * U[p, c, o]
    y[t, o] = A^T M A                      the outputs of tile t

One block of tiles goes through all three steps before the next one, so that V and M are still in
the cache when they are read.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import gcd
from typing import Any

from .buffers import Buffers
from .loops import NEIGHBORS_SHARE, SHARED, for_each, guarded, sequence
from .plan import FLOAT_BYTES, LINE_BYTES, Plan
from .product import RegisterTile
from .tile import Tile


def winograd_statement(plan: Plan, buffers: Buffers) -> Any:
    """The kernel, as a statement that stores sums in `buffers.outputs`."""

    def block(group: Any, slot: Any) -> Any:
        steps = _Block(plan, buffers, group * plan.together + slot, slot)
        return sequence(steps.inputs(), steps.products(), steps.outputs())

    def blocks(group: Any) -> Any:
        return for_each(plan.together, lambda slot: block(group, slot), notes={SHARED: "blocks"})

    return for_each(plan.groups, blocks)


@dataclass(frozen=True)
class _Block:
    plan: Plan
    buffers: Buffers
    index: Any
    slot: Any  # which of the blocks that run together, and so which scratch memory

    def inputs(self) -> Any:
        """V: a line of channels of all tiles of a panel, then the next line.

        Tiles of a panel share lines of V, which then fill while they are in the cache.
        """
        plan = self.plan
        whole, rest = divmod(plan.depth, plan.lanes)
        chunk = gcd(whole, max(1, LINE_BYTES // FLOAT_BYTES // plan.lanes))

        def tiles(panel: Any, first: Any, count: int, lanes: int) -> Any:
            def channels(r: Any) -> Any:
                tile = self._tile(panel, r)
                return for_each(count, lambda v: tile.input(first + v, lanes))

            return for_each(plan.rows, channels, notes={NEIGHBORS_SHARE: 1})

        def one(panel: Any) -> Any:
            return sequence(
                for_each(
                    whole // max(chunk, 1), lambda i: tiles(panel, i * chunk, chunk, plan.lanes)
                ),
                tiles(panel, whole, 1, rest) if rest else None,
            )

        notes = {SHARED: "parts", NEIGHBORS_SHARE: 1}
        return for_each(plan.panels, self._existing(one), notes=notes)

    def products(self) -> Any:
        """M: the weights stream by once, the inputs of one position stay in the cache."""
        plan = self.plan

        def tiles(position: Any, columns: Any) -> Any:
            def one(panel: Any) -> Any:
                at = (self.slot, panel, position, columns)
                return RegisterTile(plan, self.buffers, *at).statement()

            return for_each(plan.panels, self._existing(one))

        def position(p: Any) -> Any:
            return for_each(plan.column_panels, lambda columns: tiles(p, columns))

        return for_each(plan.positions, position, notes={SHARED: "parts"})

    def outputs(self) -> Any:
        """The outputs: two lines of channels of all tiles of a panel, then the next ones."""
        plan = self.plan
        whole, rest = divmod(plan.outputs, plan.columns)
        chunk = gcd(whole, max(1, 2 * LINE_BYTES // FLOAT_BYTES // plan.columns))

        def tiles(panel: Any, first: Any, count: int, width: int) -> Any:
            vectors, lanes = divmod(width, plan.lanes)

            def columns(r: Any) -> Any:
                tile = self._tile(panel, r)

                def channels(c: Any) -> Any:
                    return sequence(
                        for_each(vectors, lambda v: tile.output(first + c, v, plan.lanes)),
                        tile.output(first + c, vectors, lanes) if lanes else None,
                    )

                return guarded(tile.exists, for_each(count, channels))

            return for_each(plan.rows, columns, notes={NEIGHBORS_SHARE: 1})

        def one(panel: Any) -> Any:
            return sequence(
                for_each(
                    whole // max(chunk, 1), lambda i: tiles(panel, i * chunk, chunk, plan.columns)
                ),
                tiles(panel, whole, 1, rest) if rest else None,
            )

        notes = {SHARED: "parts", NEIGHBORS_SHARE: 1}
        return for_each(plan.panels, self._existing(one), notes=notes)

    def _tile(self, panel: Any, row: Any) -> Tile:
        first = (self.index * self.plan.panels + panel) * self.plan.rows
        return Tile(self.plan, self.buffers, first + row, self.slot, panel, row)

    def _existing(self, one: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """`one(panel)` for panels that exist."""
        plan = self.plan

        def panel(index: Any) -> Any:
            exists = self.index * plan.panels + index < plan.all_panels
            return guarded([exists] if plan.may_lack_panels else [], one(index))

        return panel
