"""Parts of vector expressions: some of their lanes, as expressions of their own."""

from typing import Any

from tvm import ir, sym, tirx

from .types import CannotPrint, dtype_of, element_of, is_vector, lanes_of

_BINARY = (
    *(tirx.Add, tirx.Sub, tirx.Mul, tirx.Div, tirx.Mod, tirx.FloorDiv, tirx.FloorMod),
    *(tirx.Min, tirx.Max, tirx.LT, tirx.LE, tirx.GT, tirx.GE, tirx.EQ, tirx.NE),
    *(tirx.And, tirx.Or, tirx.BitwiseAnd, tirx.BitwiseOr, tirx.BitwiseXor),
    *(tirx.LShift, tirx.RShift),
)
_ANALYZER = sym.Analyzer()


def sizes_of(lanes: int) -> list[int]:
    """The vectors of OpenCL C that together have so many lanes: 13 = 8 + 4 + 1."""
    found = []
    while lanes:
        size = next(size for size in (16, 8, 4, 2, 1) if size <= lanes)
        found.append(size)
        lanes -= size
    return found


def in_parts(node: Any) -> list[Any]:
    """A vector as vectors that OpenCL C has."""
    lanes = lanes_of(node)
    if is_vector(lanes):
        return [node]
    parts, first = [], 0
    for size in sizes_of(lanes):
        parts.append(part_of(node, first, size))
        first += size
    return parts


def elements(node: Any) -> list[Any]:
    """The elements of a vector as expressions."""
    return [part_of(node, lane, 1) for lane in range(lanes_of(node))]


def part_of(node: Any, first: int, count: int) -> Any:
    """The lanes from the `first` one on of an expression, simplified if it is an integer.

    Raises:
        CannotPrint: An operation is not known to work lane by lane.
    """
    if lanes_of(node) == 1 or count == lanes_of(node):
        return node
    part = _part_of(node, first, count)
    return _ANALYZER.simplify(part) if dtype_of(part) in ("int32", "int64") else part


def _part_of(node: Any, first: int, count: int) -> Any:
    if isinstance(node, tirx.Ramp):
        base = node.base + first * node.stride
        return tirx.Ramp(base, node.stride, count) if count > 1 else base
    if isinstance(node, tirx.Broadcast):
        return tirx.Broadcast(node.value, count) if count > 1 else node.value
    if isinstance(node, ir.TensorLoad):
        return _load(node, first, count)
    if isinstance(node, _BINARY):
        return type(node)(part_of(node.a, first, count), part_of(node.b, first, count))
    if isinstance(node, tirx.Cast):
        return tirx.Cast(_typed(node, count), part_of(node.value, first, count))
    if isinstance(node, (tirx.Not, tirx.BitwiseNot)):
        return type(node)(part_of(node.a, first, count))
    if isinstance(node, tirx.Select):
        parts = (node.condition, node.true_value, node.false_value)
        return tirx.Select(*(part_of(each, first, count) for each in parts))
    if isinstance(node, tirx.Shuffle):
        return tirx.Shuffle(list(node.vectors), list(node.indices)[first : first + count])
    if isinstance(node, ir.Call) and _is_by_lane(node):
        arguments = [part_of(each, first, count) for each in node.args]
        return ir.Call(node.op, arguments, ret_ty=ir.PrimType(_typed(node, count)))
    places = [tirx.const(place, "int32") for place in range(first, first + count)]
    return tirx.Shuffle([node], places)


def _load(load: Any, first: int, count: int) -> Any:
    *outer, index = load.indices
    own = lanes_of(load) // max(1, lanes_of(index))  # of an element of a buffer of vectors
    if own > 1:
        raise CannotPrint(f"a part of {load}")
    return tirx.BufferLoad(load.source, [*outer, part_of(index, first, count)])


def _is_by_lane(call: Any) -> bool:
    """Whether every argument has the lanes of the result, or one for all of them."""
    lanes = lanes_of(call)
    fits = all(lanes_of(each) in (1, lanes) for each in call.args if dtype_of(each) != "handle")
    return fits and not str(call.op.name).endswith("faddp")


def _typed(node: Any, lanes: int) -> str:
    element = element_of(node)
    return element if lanes == 1 else f"{element}x{lanes}"
