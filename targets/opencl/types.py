"""TIR's types as those of OpenCL C."""

from typing import Any

INTEGERS = {
    "int8": "char",
    "uint8": "uchar",
    "int16": "short",
    "uint16": "ushort",
    "int32": "int",
    "uint32": "uint",
    "int64": "long",
    "uint64": "ulong",
}
FLOATS = {"float16": "half", "float32": "float", "float64": "double"}
STORED = {**INTEGERS, **FLOATS, "bool": "uchar", "bfloat16": "ushort"}  # in memory
_BITS = {"bool": 8, "bfloat16": 16}
LANES = (1, 2, 3, 4, 8, 16)  # of the vectors that OpenCL C has


class CannotPrint(ValueError):
    """A piece of TIR that has no form in the OpenCL C that we write."""


def dtype_of(node: Any) -> str:
    """The type of an expression, lanes included; "handle" of a pointer."""
    return str(getattr(node.ty, "dtype", "handle"))


def element_of(node: Any) -> str:
    """The type of an expression's elements."""
    return dtype_of(node).partition("x")[0]


def lanes_of(node: Any) -> int:
    """How many elements an expression has: 1 if it is no vector."""
    return int(dtype_of(node).partition("x")[2] or 1)


def bits_of(element: str) -> int:
    """How many bits of memory an element takes."""
    return _BITS.get(element) or int(element.lstrip("uintfloa"))


def is_vector(lanes: int) -> bool:
    """Whether OpenCL C has vectors of so many elements; an element counts as one."""
    return lanes in LANES


def with_lanes(name: str, lanes: int) -> str:
    """The name of a type of so many elements: float4.

    Raises:
        CannotPrint: OpenCL C has no such vector.
    """
    if lanes not in LANES:
        raise CannotPrint(f"a vector of {lanes} {name}")
    return name if lanes == 1 else f"{name}{lanes}"


def is_narrow(element: str) -> bool:
    """Whether C computes in int what has this type."""
    return element in ("int8", "uint8", "int16", "uint16", "bool")


def components(first: int, lanes: int) -> str:
    """Some neighboring elements of a vector: s0, s4567."""
    return "s" + "".join(f"{index:x}" for index in range(first, first + lanes))
