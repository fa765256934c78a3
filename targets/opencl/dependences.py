"""Whether iterations of a loop over plain statements may run at once."""

from typing import Any

from tvm import ir, s_tir, sym, tirx

from ..cpu.axes import substituted
from ..cpu.flatten import position
from ..cpu.stages import collect, uses

_FAR = 1 << 40  # beyond any buffer: what the analyzer says of numbers it knows nothing about


def is_independent(loop: Any) -> bool:
    """Whether no iteration touches what another one writes.

    Each iteration's accesses to a buffer must lie in a window of its own: they move by the same
    distance from one iteration to the next, and are less than that apart from each other.
    """
    own = [alloc.buffer for alloc in collect(loop.body, tirx.AllocBuffer)]
    own += [buffer for block in collect(loop.body, s_tir.SBlock) for buffer in block.alloc_buffers]
    written: list[Any] = []
    for store in collect(loop.body, tirx.BufferStore):
        if not any(store.buffer.same_as(other) for other in (*own, *written)):
            written.append(store.buffer)
    has_effects = any(
        not isinstance(e.value, tirx.IntImm) for e in collect(loop.body, tirx.Evaluate)
    )
    return not has_effects and all(_has_windows(loop, buffer) for buffer in written)


def _has_windows(loop: Any, buffer: Any) -> bool:
    places = [position(buffer, node.indices) for node in _accesses(loop.body, buffer)]
    analyzer, var = sym.Analyzer(), loop.loop_var
    steps = {_number(analyzer.simplify(_at(p, var, var + 1) - p)) for p in places}
    step = steps.pop()
    if steps or not step:
        return False
    inner = [(f.loop_var, f.min, f.extent) for f in collect(loop.body, tirx.For)]
    if any(uses(bound, var) for _, *bounds in inner for bound in bounds):
        return False
    if len({name for name, *_ in inner}) < len(inner):  # one variable of several loops
        return False
    first = _at(places[0], var, 0)
    for name, begin, extent in inner:
        first = _at(first, name, begin)
        analyzer.bind(name, ir.Range.from_min_extent(begin, extent))
    bounds = [analyzer.const_int_bound(analyzer.simplify(_at(p, var, 0) - first)) for p in places]
    low, high = min(b.min_value for b in bounds), max(b.max_value for b in bounds)
    return low > -_FAR and high < _FAR and bool(high - low < abs(step))


def _accesses(body: Any, buffer: Any) -> list[Any]:
    loads = [load for load in collect(body, ir.TensorLoad) if load.source.same_as(buffer)]
    return loads + [s for s in collect(body, tirx.BufferStore) if s.buffer.same_as(buffer)]


def _at(node: Any, variable: Any, value: Any) -> Any:
    value = tirx.const(value, variable.ty.dtype) if isinstance(value, int) else value
    return substituted(node, [(variable, value)])


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, tirx.IntImm) else None
