"""Loads and stores in OpenCL C: pointers into global memory, private arrays and variables."""

from collections.abc import Callable
from typing import Any

from tvm import tirx

from . import truth
from .lanes import elements
from .precedence import ATOM, SUM, Written
from .print_expression import ExpressionPrinter
from .private import Variables, place_of
from .types import (
    CannotPrint,
    components,
    element_of,
    is_vector,
    lanes_of,
    with_lanes,
)

Statement = tuple[str, list[str]]  # a function and its arguments; without them a whole statement


class Buffers:
    """Writes accesses to buffers.

    Args:
        expressions: Prints indices and values.
        name_of: Gives the name of a buffer that is an array or a pointer.
    """

    def __init__(self, expressions: ExpressionPrinter, name_of: Callable[[Any], str]) -> None:
        self._expressions = expressions
        self._name_of = name_of
        self.variables: dict[Any, Variables] = {}  # buffers that are no arrays
        self.names: dict[Any, list[str]] = {}  # of their variables
        self.constness: dict[Any, str] = {}  # of buffers in global memory

    def variable_type(self, buffer: Any, width: int) -> str:
        """The type of a variable that holds some elements of a buffer."""
        lanes = width * lanes_of(buffer)
        return self._expressions.ctype(element_of(buffer), lanes)

    def array_type(self, buffer: Any) -> str:
        """The type of the elements of an array."""
        element = element_of(buffer)
        name = "uchar" if element == "bool" else self._expressions.ctype(element)
        return with_lanes(name, lanes_of(buffer))

    def load(self, load: Any) -> Written:
        """A load from a buffer."""
        buffer, (index,) = load.source, load.indices
        if buffer in self.variables:
            return self._variable(buffer, index), ATOM
        lanes = lanes_of(index)
        if lanes == 1 and lanes_of(buffer) == 1:
            return self._element(buffer, index), ATOM
        if lanes_of(buffer) > 1:
            return self._truth(load, f"{self._name_of(buffer)}[{self._expressions.text(index)}]")
        if not is_vector(lanes):
            raise CannotPrint(f"a vector of {lanes} in {load}")
        if _follows(index):
            place = self._pointer(buffer, index.base)
            function = "vload_half" if self._is_stored_half(buffer) else "vload"
            return self._truth(load, f"{function}{lanes}(0, {place})")
        texts = [self._expressions.text(tirx.BufferLoad(buffer, [i])) for i in elements(index)]
        return self._gathered(load, texts)

    def store(self, buffer: Any, index: Any, value: Any) -> list[Statement]:
        """The statements that store a value."""
        text = self.stored(buffer, value)
        if buffer in self.variables or lanes_of(buffer) > 1:
            place = self._place(buffer, index)
            return [(f"{place} {self._in_place(place, value, text)}", [])]
        lanes = lanes_of(index)
        if lanes == 1 and self._is_stored_half(buffer):
            name, where = self._name_of(buffer), self._expressions.text(index)
            return [("vstore_half_rte", [text, where, name])]
        if lanes == 1:
            place = self._place(buffer, index)
            return [(f"{place} {self._in_place(place, value, text)}", [])]
        if not is_vector(lanes):
            raise CannotPrint(f"a vector of {lanes} stored in {buffer.name}")
        if _follows(index):
            pointer = self._pointer(buffer, index.base)
            half = self._is_stored_half(buffer)
            function = f"vstore_half{lanes}_rte" if half else f"vstore{lanes}"
            return [(function, [text, "0", pointer])]
        return self._scatter(buffer, index, value)

    def stored(self, buffer: Any, value: Any) -> str:
        """A value as a buffer keeps it."""
        expressions = self._expressions
        lanes = lanes_of(value)
        if element_of(value) != "bool" or lanes == 1:
            return expressions.text(value)
        mask = truth.mask(expressions, value)
        if buffer in self.variables:
            return mask
        return f"convert_{with_lanes('uchar', lanes)}({mask} & 1)"

    def _is_stored_half(self, buffer: Any) -> bool:
        is_half = element_of(buffer) == "float16" and buffer in self.constness
        return is_half and not self._expressions.half_arithmetic

    def _element(self, buffer: Any, index: Any) -> str:
        where = self._expressions.text(index)
        if self._is_stored_half(buffer):
            return f"vload_half({where}, {self._name_of(buffer)})"
        return f"{self._name_of(buffer)}[{where}]"

    def _place(self, buffer: Any, index: Any) -> str:
        if buffer in self.variables:
            return self._variable(buffer, index)
        return f"{self._name_of(buffer)}[{self._expressions.text(index)}]"

    def _pointer(self, buffer: Any, first: Any) -> str:
        name = self._name_of(buffer)
        if isinstance(first, tirx.IntImm) and int(first) == 0:
            return name
        where = self._expressions.text(first, SUM)
        return f"{name} - {where[1:]}" if where.startswith("-") else f"{name} + {where}"

    def _variable(self, buffer: Any, index: Any) -> str:
        """A variable, or some of its components."""
        variables = self.variables[buffer]
        place = place_of(index)
        assert place is not None, index
        first, lanes = place
        which, inside = divmod(first, variables.width)
        name = self.names[buffer][which]
        if lanes == variables.widths[which]:
            return name
        return f"{name}.{components(inside, lanes)}"

    def _in_place(self, place: str, value: Any, text: str) -> str:
        """`+= b` for a sum that starts with the place itself."""
        if isinstance(value, tirx.Add) and text.startswith(f"{place} + "):
            return f"+= {text.removeprefix(f'{place} + ')}"
        return f"= {text}"

    def _truth(self, load: Any, text: str) -> Written:
        """Truth values of a vector are masks in registers."""
        lanes = lanes_of(load)
        if element_of(load) != "bool" or lanes == 1:
            return text, ATOM
        return f"(convert_{with_lanes('int', lanes)}({text}) != 0)", ATOM

    def _gathered(self, load: Any, texts: list[str]) -> Written:
        if element_of(load) == "bool":
            bytes_ = with_lanes("uchar", lanes_of(load))
            return self._truth(load, f"({bytes_})({', '.join(texts)})")
        return self._expressions.gathered(load, texts)

    def _scatter(self, buffer: Any, index: Any, value: Any) -> list[Statement]:
        """One store for each element."""
        pairs = zip(elements(index), elements(value), strict=True)
        return [line for place, element in pairs for line in self.store(buffer, place, element)]


def _follows(index: Any) -> bool:
    """Whether the elements of a vector follow each other in memory."""
    is_ramp = isinstance(index, tirx.Ramp) and isinstance(index.stride, tirx.IntImm)
    return is_ramp and int(index.stride) == 1
