"""TIR expressions as C99, with the parentheses that a person would write.

Where C differs from TIR: operands narrower than 32 bits are computed in 32 and narrowed again,
numbers are shifted to the left without their signs, and constants have the type that TIR says.
"""

import math
from collections.abc import Callable, Collection
from typing import Any

from tvm import ir, tirx

from .helpers import HELPERS, INTEGERS
from .layer import MicroKernel

# Precedences of C, high binds tighter.
ATOM, UNARY, FACTOR, SUM, SHIFT, COMPARISON, EQUALITY, BITS, AND, OR, CHOICE = range(11, 0, -1)

C_TYPES = {
    "float32": "float",
    "float64": "double",
    "bool": "bool",
    **{name: f"{name}_t" for name in INTEGERS},
}
_BINARY: dict[Any, tuple[str, int]] = {
    tirx.Add: ("+", SUM),
    tirx.Sub: ("-", SUM),
    tirx.Mul: ("*", FACTOR),
    tirx.Div: ("/", FACTOR),
    tirx.Mod: ("%", FACTOR),
    tirx.LT: ("<", COMPARISON),
    tirx.LE: ("<=", COMPARISON),
    tirx.GT: (">", COMPARISON),
    tirx.GE: (">=", COMPARISON),
    tirx.EQ: ("==", EQUALITY),
    tirx.NE: ("!=", EQUALITY),
    tirx.And: ("&&", AND),
    tirx.Or: ("||", OR),
}
_BITWISE = {tirx.BitwiseAnd: "&", tirx.BitwiseOr: "|", tirx.BitwiseXor: "^"}
_LEAST = {f"int{bits}": -(1 << bits - 1) for bits in (8, 16, 32, 64)}
Written = tuple[str, int]  # C and its precedence


class CannotPrint(ValueError):
    """A piece of TIR that has no form in the C that we write."""


class ExpressionPrinter:
    """Prints expressions and notes which helper functions they call.

    Args:
        name_of: Gives the C name of a variable.
        place_of: Gives the C for an element of a buffer.
        micro_kernels: Functions that may be called by their names.
        divides: Whether the core divides integers; else a function of ours does.
    """

    def __init__(
        self,
        name_of: Callable[[Any], str],
        place_of: Callable[[Any], str],
        micro_kernels: Collection[str],
        divides: bool,
    ) -> None:
        self._name_of = name_of
        self._place_of = place_of
        self._micro_kernels = micro_kernels
        self._divides = divides
        self.helpers: dict[str, MicroKernel] = {}

    def text(self, node: Any, least: int = 0) -> str:
        """An expression, in parentheses unless it binds at least as tightly as `least`."""
        written, precedence = self._written(node)
        return f"({written})" if precedence < least else written

    def call(self, helper: str, *arguments: str) -> Written:
        """A call of a helper function, which NAME_kernels.h then defines."""
        for kernel in HELPERS[helper]:
            self.helpers[kernel.name] = kernel
        return f"{helper}({', '.join(arguments)})", ATOM

    def _written(self, node: Any) -> Written:
        if isinstance(node, tirx.IntImm):
            return _integer(int(node.value), dtype_of(node))
        if isinstance(node, tirx.FloatImm):
            return _real(float(node.value), dtype_of(node))
        if isinstance(node, ir.Call):
            return self._called(node)
        if isinstance(node, ir.TensorLoad):
            return self._place_of(node), ATOM
        if isinstance(node, ir.Var):
            return self._name_of(node), ATOM
        if isinstance(node, (tirx.Div, tirx.Mod)) and self._needs_function(node):
            which = "quotient" if isinstance(node, tirx.Div) else "remainder"
            return self._helped(which, node, node.a, node.b)
        if type(node) in _BINARY:
            node = _turned(node)
            return self._binary(node, *_BINARY[type(node)])
        if type(node) in _BITWISE:
            left, right = self.text(node.a, UNARY), self.text(node.b, UNARY)
            return f"{left} {_BITWISE[type(node)]} {right}", BITS
        if isinstance(node, (tirx.LShift, tirx.RShift)):
            return self._shift(node, node.a, node.b)
        if isinstance(node, (tirx.Min, tirx.Max)):
            which = "min" if isinstance(node, tirx.Min) else "max"
            return self._helped(which, node, node.a, node.b)
        if isinstance(node, (tirx.FloorDiv, tirx.FloorMod)):
            which = "floor_div" if isinstance(node, tirx.FloorDiv) else "floor_mod"
            return self._helped(which, node, node.a, node.b)
        if isinstance(node, tirx.Cast):
            return self._cast(dtype_of(node), node.value)
        if isinstance(node, (tirx.Not, tirx.BitwiseNot)):
            sign = "!" if isinstance(node, tirx.Not) else "~"
            return f"{sign}{self.text(node.a, UNARY)}", UNARY
        if isinstance(node, tirx.Select):
            return self._choice(node.condition, node.true_value, node.false_value)
        raise CannotPrint(f"{type(node).__name__} in {node}")

    def _needs_function(self, division: Any) -> bool:
        return not self._divides and "float" not in dtype_of(division)

    def _helped(self, which: str, node: Any, *arguments: Any) -> Written:
        """A call of the helper for the type of the node."""
        return self.call(f"{which}_{_wide(dtype_of(node))}", *map(self.text, arguments))

    def _binary(self, node: Any, operator: str, precedence: int) -> Written:
        mixed = precedence in (AND, OR)  # gcc wants to see how these nest
        left = self.text(node.a, EQUALITY if mixed else precedence)
        right = self.text(node.b, EQUALITY if mixed else precedence + 1)
        if operator == "+" and right.startswith("-"):
            written = f"{left} - {right[1:]}"
        else:
            written = f"{left} {operator} {right}"
        if _is_narrow(dtype_of(node)) and dtype_of(node) != "bool":
            return f"({C_TYPES[dtype_of(node)]})({written})", UNARY
        return written, precedence

    def _cast(self, dtype: str, value: Any) -> Written:
        source = dtype_of(value)
        if dtype == source or _widens(source, dtype):
            return self._written(value)
        if dtype == "bool":
            return f"{self.text(value, EQUALITY)} != 0", EQUALITY
        return f"({C_TYPES[dtype]}){self.text(value, UNARY)}", UNARY

    def _choice(self, condition: Any, then: Any, otherwise: Any) -> Written:
        if _is_number(then, 1) and _is_number(otherwise, 0):
            return self._written(condition)  # which is 1 or 0 in C
        parts = self.text(condition, OR), self.text(then, OR), self.text(otherwise, OR)
        return f"{parts[0]} ? {parts[1]} : {parts[2]}", CHOICE

    def _called(self, node: Any) -> Written:
        name = str(node.op.name).rpartition(".")[2]
        arguments = list(node.args)
        if name in ("call_extern", "call_pure_extern"):
            return self._called_by_name(str(arguments[0].value), arguments[1:], node)
        if name == "address_of":
            return self._address(arguments[0])
        if name == "if_then_else":
            return self._choice(*arguments)
        if name == "likely":
            return self._written(arguments[0])
        if name == "reinterpret":
            return self._reinterpreted(node)
        if name.startswith("penjing_"):
            return self.call(name.removeprefix("penjing_"), *map(self.text, arguments))
        if f"{name}_{dtype_of(node)}" in HELPERS:
            return self._helped(name, node, *arguments)
        raise CannotPrint(f"{node.op.name} of {dtype_of(node)}")

    def _called_by_name(self, name: str, arguments: list[Any], node: Any) -> Written:
        """A call of a micro-kernel, or of what the C library has and we define ourselves."""
        texts = list(map(self.text, arguments))
        if name in self._micro_kernels:
            return f"{name}({', '.join(texts)})", ATOM
        helper = f"{name.removesuffix('f')}_{dtype_of(node)}"
        if helper not in HELPERS:
            raise CannotPrint(f"a call of {name}")
        return self.call(helper, *texts)

    def _address(self, load: Any) -> Written:
        place = self._place_of(load)
        pointer, _, index = place.partition("[")
        if not index:
            return f"&{place}", UNARY
        index = index.removesuffix("]")
        return (pointer, ATOM) if index == "0" else (f"{pointer} + {index}", SUM)

    def _shift(self, node: Any, value: Any, count: Any) -> Written:
        dtype, is_right = dtype_of(node), isinstance(node, tirx.RShift)
        if is_right or dtype.startswith("u"):
            sign = ">>" if is_right else "<<"
            return f"{self.text(value, UNARY)} {sign} {self.text(count, UNARY)}", SHIFT
        unsigned = f"(u{C_TYPES[dtype]}){self.text(value, UNARY)}"
        return f"({C_TYPES[dtype]})({unsigned} << {self.text(count, UNARY)})", UNARY

    def _reinterpreted(self, node: Any) -> Written:
        (value,) = node.args
        new, old = dtype_of(node), dtype_of(value)
        if new == old:
            return self._written(value)
        if "float" not in new + old:
            return f"({C_TYPES[new]}){self.text(value, UNARY)}", UNARY
        return self.call(f"{new}_from_bits" if "float" in new else f"bits_of_{old}",
                         self.text(value))  # fmt: skip


def _turned(node: Any) -> Any:
    """A comparison with its number on the right: x >= 3 for 3 <= x."""
    turned = {tirx.LT: tirx.GT, tirx.LE: tirx.GE, tirx.GT: tirx.LT, tirx.GE: tirx.LE}
    if type(node) in turned and isinstance(node.a, (tirx.IntImm, tirx.FloatImm)):
        return turned[type(node)](node.b, node.a)
    return node


def _is_number(node: Any, value: int) -> bool:
    return isinstance(node, tirx.IntImm) and dtype_of(node) == "int32" and node.value == value


def dtype_of(node: Any) -> str:
    """The type of an expression; "handle" of a pointer.

    Raises:
        CannotPrint: It is a vector, or a type that C99 does not have.
    """
    dtype = str(getattr(node.ty, "dtype", "handle"))
    if dtype != "handle" and dtype not in C_TYPES:
        raise CannotPrint(f"values of {dtype}")
    return dtype


def _is_narrow(dtype: str) -> bool:
    return dtype in ("int8", "uint8", "int16", "uint16", "bool")


def _wide(dtype: str) -> str:
    return "int32" if _is_narrow(dtype) else dtype


def _widens(source: str, dtype: str) -> bool:
    """Whether C converts by itself where TIR says so: small integers to int32."""
    return dtype == "int32" and _is_narrow(source)


def _integer(value: int, dtype: str) -> Written:
    if dtype == "bool":
        return ("true" if value else "false"), ATOM
    if value == _LEAST.get(dtype) and dtype in ("int32", "int64"):
        return dtype.upper() + "_MIN", ATOM
    if dtype in ("int64", "uint64"):
        return f"{'U' if dtype == 'uint64' else ''}INT64_C({value})", ATOM
    suffix = "u" if dtype == "uint32" else ""
    return f"{value}{suffix}", ATOM if value >= 0 else UNARY


def _real(value: float, dtype: str) -> Written:
    if math.isnan(value):
        return "NAN", ATOM
    if math.isinf(value):
        return ("INFINITY", ATOM) if value > 0 else ("-INFINITY", UNARY)
    text = repr(value) if dtype == "float64" else f"{value:.9g}"
    if not any(mark in text for mark in ".e"):
        text += ".0"
    return text + ("" if dtype == "float64" else "f"), ATOM if value >= 0 else UNARY
