"""Numbers in OpenCL C."""

import math
from typing import Any

from tvm import tirx

_LEAST = {"int32": "INT_MIN", "int64": "LONG_MIN"}
_SUFFIXES = {"int64": "L", "uint64": "UL", "uint32": "u"}


def is_number(node: Any) -> bool:
    """Whether an expression is a constant, or a vector of one."""
    value = node.value if isinstance(node, tirx.Broadcast) else node
    return isinstance(value, (tirx.IntImm, tirx.FloatImm))


def integer(value: int, element: str) -> str:
    """An integer of a type of TIR; narrow ones are int."""
    if element == "bool":
        return "true" if value else "false"
    if element in _LEAST and value == -(1 << int(element[3:]) - 1):
        return _LEAST[element]
    return f"{value}{_SUFFIXES.get(element, '')}"


def real(value: float, ctype: str) -> str:
    """A number of the type half, float or double, exactly."""
    if ctype == "half":
        return f"(half){real(value, 'float')}"
    cast = "(double)" if ctype == "double" else ""
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    if math.isnan(value):
        return f"{cast}NAN"
    if math.isinf(value):
        return f"{sign}{cast}INFINITY"
    text = repr(value) if ctype == "double" else f"{value:.9g}"
    if not any(mark in text for mark in ".e"):
        text += ".0"
    return text if ctype == "double" else f"{text}f"
