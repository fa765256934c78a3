"""Both transforms of one tile and one vector of channels, as straight code in registers."""

from dataclasses import dataclass
from typing import Any

from tvm import tirx

from ..memory_order import keep_order
from .buffers import Buffers, Registers, all_lanes, local
from .loops import KINDS, REPEATED, for_each, guarded, sequence, vector
from .plan import Plan
from .transforms import transform_input, transform_output

_VALUES = 7  # values that a transform keeps per element, at most


@dataclass(frozen=True)
class Tile:
    """One tile of the output: number `row` of the panel in whose scratch memory it is."""

    plan: Plan
    buffers: Buffers
    index: Any  # counted over all images
    slot: Any
    panel: Any
    row: Any

    @property
    def exists(self) -> list[Any]:
        """Conditions under which there is such a tile."""
        return [self.index < self.plan.tiles] if self.plan.may_lack_tiles else []

    def input(self, channels: Any, lanes: int) -> Any:
        """V of `lanes` channels of one vector. One that does not exist repeats the last tile."""
        plan, buffers = self.plan, self.buffers
        n, y, x = self._corner()

        def body(lane: Any, registers: Registers) -> None:
            channel = channels * plan.lanes + lane

            def patch(i: int, j: int) -> Any:
                return registers.keep(buffers.image(n, y + i, x + j, channel))

            def pause() -> None:
                registers.add(keep_order())

            values = transform_input(plan.tile, patch, registers.keep, pause)
            for position, value in values:
                place = plan.input_place(self.panel, position, channels, self.row, lane)
                registers.add(tirx.BufferStore(buffers.inputs, value, [self.slot, place]))

        return all_lanes(lanes, _VALUES * plan.positions, body)

    def output(self, columns: Any, channels: Any, lanes: int) -> Any:
        """The outputs of `lanes` channels of one vector of a panel of output channels."""
        plan, buffers = self.plan, self.buffers
        results = local((plan.tile**2, lanes), "results")
        first = self.row * plan.columns + channels * plan.lanes

        def body(lane: Any, registers: Registers) -> None:
            def product(i: int, j: int) -> Any:
                index = [self.slot, self.panel, columns, i * plan.taps + j, first + lane]
                return registers.keep(tirx.BufferLoad(buffers.products, index))

            for position, value in transform_output(plan.tile, product, registers.keep):
                registers.add(tirx.BufferStore(results, value, [position, lane]))

        return sequence(
            tirx.AllocBuffer(results),
            all_lanes(lanes, _VALUES * plan.positions, body),
            self._store(results, columns * plan.columns + channels * plan.lanes, lanes),
        )

    def _store(self, results: Any, first: Any, lanes: int) -> Any:
        """Store the outputs that lie inside of the image."""
        plan = self.plan
        n, y, x = self._corner()

        def one(i: Any, j: Any) -> Any:
            def element(lane: Any) -> Any:
                value = tirx.BufferLoad(results, [i * plan.tile + j, lane])
                index = [n, y + i, x + j, first + lane]
                return tirx.BufferStore(self.buffers.outputs, value, index)

            places = zip((y + i, x + j), plan.sizes, strict=True)
            inside = [place < size for place, size in places if size % plan.tile]
            return guarded(inside, vector(lanes, element))

        def row(i: Any) -> Any:
            return for_each(plan.tile, lambda j: one(i, j), KINDS.UNROLLED, {REPEATED: 1})

        return for_each(plan.tile, row, KINDS.UNROLLED, {REPEATED: 1})

    def _corner(self) -> tuple[Any, Any, Any]:
        """Image and first output (y, x) of the tile, or of the last one."""
        plan = self.plan
        down, across = plan.grid
        last = plan.tiles - 1
        index = tirx.min(self.index, last) if plan.may_lack_tiles else self.index
        rest = tirx.floormod(index, down * across)
        image = tirx.floordiv(index, down * across)
        y, x = tirx.floordiv(rest, across), tirx.floormod(rest, across)
        return image, y * plan.tile, x * plan.tile
