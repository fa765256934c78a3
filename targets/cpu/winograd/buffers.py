"""What a Winograd kernel reads and writes, and what it keeps in registers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tvm import tirx

from .loops import KINDS


@dataclass(frozen=True, kw_only=True)
class Buffers:
    """The buffers of one kernel."""

    image: Callable[[Any, Any, Any, Any], Any]  # n, y, x, c -> element; all tiles lie inside
    weights: Any  # Plan.weight_shape
    inputs: Any  # Plan.input_shape
    products: Any  # Plan.product_shape
    outputs: Any  # [N, OH, OW, O]


class Registers:
    """Values of one vector that are computed once; LLVM keeps them in registers."""

    def __init__(self, most: int, lanes: int, lane: Any) -> None:
        self.buffer = local((most, lanes), "values")
        self.statements: list[Any] = []
        self._lane, self._next, self._most = lane, 0, most

    def add(self, statement: Any) -> None:
        """Run a statement after those before."""
        self.statements.append(statement)

    def keep(self, value: Any) -> Any:
        """The value, computed at this point."""
        assert self._next < self._most, self._most
        index = [self._next, self._lane]
        self._next += 1
        self.add(tirx.BufferStore(self.buffer, value, index))
        return tirx.BufferLoad(self.buffer, index)


def all_lanes(lanes: int, most: int, body: Callable[[Any, Registers], None]) -> Any:
    """What `body(lane, registers)` adds, for all lanes at once; it keeps at most `most` values."""
    lane = tirx.Var("lane", "int32")
    registers = Registers(most, lanes, lane)
    body(lane, registers)
    loop = tirx.For(lane, 0, lanes, KINDS.VECTORIZED, tirx.SeqStmt(registers.statements))
    return tirx.SeqStmt([tirx.AllocBuffer(registers.buffer), loop])


def local(shape: tuple[int, ...], name: str) -> Any:
    """A buffer that LLVM turns into registers; allocate it with `tirx.AllocBuffer`."""
    return tirx.decl_buffer(shape, "float32", name, scope="local", layout=None)
