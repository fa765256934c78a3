"""Private buffers as variables: a register tile whose indices are constant is no array."""

from dataclasses import dataclass
from typing import Any

import tvm_ffi
from tvm import ir, tirx

from .types import bits_of, element_of, is_vector, lanes_of

_MOST = 256  # variables that one buffer may become


@dataclass(frozen=True)
class Variables:
    """A buffer as variables of `width` lanes each, the last of which may have fewer."""

    width: int
    elements: int
    used: frozenset[int]  # those that something accesses

    @property
    def widths(self) -> list[int]:
        """The lanes of every variable."""
        starts = range(0, self.elements, self.width)
        return [min(self.width, self.elements - start) for start in starts]


def find_variables(body: Any) -> dict[Any, Variables]:
    """The private buffers that are only accessed at constant places, inside of one variable."""
    accesses: dict[Any, list[tuple[int, int] | None]] = {}

    def note(buffer: Any, index: Any) -> None:
        accesses.setdefault(buffer, []).append(place_of(index))

    def load(node: Any) -> None:
        note(node.source, node.indices[-1])

    def store(node: Any) -> None:
        note(node.buffer, node.indices[-1])

    allocated: list[Any] = []
    callbacks = (
        (ir.TensorLoad, load),
        (tirx.BufferStore, store),
        (tirx.AllocBuffer, lambda alloc: allocated.append(alloc.buffer)),
    )
    tvm_ffi.structural_walk(body, callbacks, order="pre")
    found = {}
    for buffer in allocated:
        variables = _variables(buffer, accesses.get(buffer, []))
        if variables is not None:
            found[buffer] = variables
    return found


def place_of(index: Any) -> tuple[int, int] | None:
    """The first element and the lanes of an access at a constant place, else None."""
    if isinstance(index, tirx.Ramp):
        follows = isinstance(index.stride, tirx.IntImm) and int(index.stride) == 1
        if follows and isinstance(index.base, tirx.IntImm):
            return int(index.base), int(index.lanes)
        return None
    return (int(index), 1) if isinstance(index, tirx.IntImm) else None


def private_bytes(body: Any) -> int:
    """What one work-item declares."""
    total = 0

    def add(alloc: Any) -> None:
        nonlocal total
        buffer = alloc.buffer
        if buffer.scope() != "shared":
            bits = bits_of(element_of(buffer)) * lanes_of(buffer)
            total += elements_of(buffer) * bits // 8

    tvm_ffi.structural_walk(body, (tirx.AllocBuffer, add), order="pre")
    return total


def elements_of(buffer: Any) -> int:
    """How many elements of its type a buffer has."""
    count = 1
    for size in buffer.ty.shape:
        count *= int(size)
    return count


def _variables(buffer: Any, places: list[tuple[int, int] | None]) -> Variables | None:
    if buffer.scope() == "shared" or len(buffer.ty.shape) != 1:
        return None
    known = [place for place in places if place is not None]
    if len(known) < len(places) or not all(is_vector(lanes) for _, lanes in known):
        return None
    elements, width = elements_of(buffer), max((lanes for _, lanes in known), default=1)
    if any(first // width != (first + lanes - 1) // width for first, lanes in known):
        return None
    if lanes_of(buffer) > 1 and width > 1:
        return None
    variables = Variables(width, elements, frozenset(first // width for first, _ in known))
    if not all(map(is_vector, variables.widths)) or len(variables.widths) > _MOST:
        return None
    return variables
