"""Operations on words of small integers (../cpu/integer_ops.py) as OpenCL C."""

import enum
from functools import cache
from typing import Any

import tvm_ffi
from tvm import ir, sym, tirx

from ..cpu.integer_groups import sums_pairs
from ..cpu.integer_x86 import takes_halves, takes_unsigned
from ..target import Target
from .types import CannotPrint, element_of, lanes_of, with_lanes

_ATOM = 11  # precedence of what needs no parentheses
_ANALYZER = sym.Analyzer()


class Kind(enum.Enum):
    """What a word holds."""

    BYTES = "four int8"
    UNSIGNED = "four int8, of inputs four uint8"
    HALVES = "two int16, of weights two int8 in an int16"
    PAIRS = "four int8, of weights two of each column of a vector"  # as `in_pairs` has it


def kind_of(target: Target) -> Kind:
    """What the words of a target hold, which packed weights are made of."""
    if takes_halves(target):
        return Kind.HALVES
    if sums_pairs(target):
        return Kind.PAIRS
    return Kind.UNSIGNED if takes_unsigned(target) else Kind.BYTES


_DOTS = {
    Kind.BYTES: "dot_bytes",
    Kind.UNSIGNED: "dot_unsigned",
    Kind.HALVES: "dot_pairs",
    Kind.PAIRS: "dot_in_pairs",
}


def write(printer: Any, name: str, arguments: list[Any], node: Any) -> tuple[str, int]:
    """The call of one of the operations; `printer` is an `ExpressionPrinter`."""
    if name == "word":
        return _word(printer, arguments, node)
    if name == "dot_groups":
        return _dot_groups(printer, arguments)
    values, numbers = _split(arguments)
    texts = [_as_int(printer, value) for value in values]
    if name == "dot":
        name = _DOTS[printer.kind]
        _check_pairs(printer, node)
    ctype = with_lanes("int", lanes_of(node))
    written: tuple[str, int] = printer.call(f"{name}_{ctype}", *texts, *map(str, numbers))
    return written


def _check_pairs(printer: Any, vector: Any) -> None:
    """Weights in pairs are of whole vectors of four columns."""
    if printer.kind is Kind.PAIRS and lanes_of(vector) % 4:
        raise CannotPrint(f"a part of weights in pairs: {vector}")


@cache
def intrinsic(number: int) -> str:
    """The name of an intrinsic function of LLVM."""
    return str(tvm_ffi.get_global_func("target.llvm_get_intrinsic_name")(number))


def _split(arguments: list[Any]) -> tuple[list[Any], list[int]]:
    """Values, and the constants that follow the first two of them at most."""
    numbers: list[int] = []
    values = list(arguments)
    while len(values) > 1 and (number := _number(values[-1])) is not None:
        numbers.insert(0, number)
        values.pop()
    return values, numbers


def _number(value: Any) -> int | None:
    plain = value.value if isinstance(value, tirx.Broadcast) else value
    return int(plain.value) if isinstance(plain, tirx.IntImm) else None


def _as_int(printer: Any, value: Any) -> str:
    """A word as int, whatever the width that it is stored in."""
    text: str = printer.text(value)
    if element_of(value) == "int32":
        return text
    if lanes_of(value) == 1:
        return f"(int)({text})"
    return f"convert_{with_lanes('int', lanes_of(value))}({text})"


def _word(printer: Any, elements: list[Any], node: Any) -> tuple[str, int]:
    """Elements that lie side by side as one load, others as a vector of them."""
    count, lanes = len(elements), lanes_of(node)
    small = "char" if count == 4 else "short"
    ctype = with_lanes("int", lanes)
    start = _start(elements)
    if start is not None and count * lanes <= 16:
        load = tirx.BufferLoad(elements[0].source, [tirx.Ramp(start, 1, count * lanes)])
        return f"as_{ctype}({_narrowed(printer, load, small)})", _ATOM
    if lanes == 1:
        joined = ", ".join(printer.text(each) for each in elements)
        return f"as_int(({small}{count})({joined}))", _ATOM
    texts = [_as_int(printer, each) for each in elements]
    written: tuple[str, int] = printer.call(f"word{count}_{ctype}", *texts)
    return written


def _narrowed(printer: Any, load: Any, small: str) -> str:
    text: str = printer.text(load)
    same = element_of(load) == ("int8" if small == "char" else "int16")
    return text if same else f"convert_{with_lanes(small, lanes_of(load))}({text})"


def _start(elements: list[Any]) -> Any:
    """The place of the first of elements that follow each other in one buffer, else None."""
    if not all(isinstance(element, ir.TensorLoad) for element in elements):
        return None
    if not all(element.source.same_as(elements[0].source) for element in elements):
        return None
    places = [element.indices[0] for element in elements]
    if isinstance(places[0], tirx.Ramp):
        if not all(_number(place.stride) == len(elements) for place in places):
            return None
        places = [place.base for place in places]
    steps = [_number(_ANALYZER.simplify(place - places[0])) for place in places]
    return places[0] if steps == list(range(len(elements))) else None


def _dot_groups(printer: Any, arguments: list[Any]) -> tuple[str, int]:
    """start + the products of both words of weights in every packed one and their inputs."""
    start, *others = arguments
    count, lanes = len(others) // 3, lanes_of(start)
    packed, inputs = others[:count], others[count:]
    _check_pairs(printer, start)
    kind = "add_groups_in_pairs" if printer.kind is Kind.PAIRS else "add_groups"
    text = printer.text(start)
    for index, word in enumerate(packed):
        texts = [printer.text(each) for each in inputs[2 * index : 2 * index + 2]]
        text, _ = printer.call(
            f"{kind}_{with_lanes('int', lanes)}", text, printer.text(word), *texts
        )
    return text, _ATOM
