"""Truth values in OpenCL C.

Those of scalars are bool. Those of a vector are a mask of integers, -1 where it holds, of as many
bits as what was compared; in variables they are int.
"""

from typing import Any

from tvm import tirx

from .literals import is_number
from .precedence import AND, ATOM, BITS, CHOICE, COMPARISON, EQUALITY, OR, UNARY, Written
from .types import INTEGERS, element_of, is_narrow, lanes_of, with_lanes

VARIABLE_BITS = 32  # of each truth value of a vector in a variable
_COMPARISONS: dict[Any, tuple[str, int]] = {
    tirx.LT: ("<", COMPARISON),
    tirx.LE: ("<=", COMPARISON),
    tirx.GT: (">", COMPARISON),
    tirx.GE: (">=", COMPARISON),
    tirx.EQ: ("==", EQUALITY),
    tirx.NE: ("!=", EQUALITY),
}
_LOGICAL: dict[Any, tuple[str, str, int]] = {  # of scalars, of vectors
    tirx.And: ("&&", "&", AND),
    tirx.Or: ("||", "|", OR),
}
_TURNED = {tirx.LT: tirx.GT, tirx.LE: tirx.GE, tirx.GT: tirx.LT, tirx.GE: tirx.LE}


def mask(printer: Any, node: Any, bits: int = VARIABLE_BITS, least: int = 0) -> str:
    """A vector of truth values as integers of so many bits."""
    if _bits(printer, node) == bits:
        return str(printer.text(node, least))
    integers = with_lanes(INTEGERS[f"int{bits}"], lanes_of(node))
    return f"convert_{integers}({printer.text(node)})"


def as_numbers(printer: Any, node: Any, element: str) -> str:
    """A vector of truth values as ones and zeros of a type."""
    ctype = printer.ctype(element, lanes_of(node))
    chosen = mask(printer, node, printer.register_bits(element))
    return f"select(({ctype})(0), ({ctype})(1), {chosen})"


def is_set(printer: Any, node: Any) -> Written:
    """Whether numbers are not zero."""
    element, lanes = element_of(node), lanes_of(node)
    zero = "0.0f" if element == "float32" else "0"
    if lanes > 1 and is_narrow(element):
        zero = f"({printer.type_of(node)})(0)"
    return f"{printer.text(node, EQUALITY + 1)} != {zero}", EQUALITY


def broadcast(printer: Any, node: Any) -> Written:
    """One truth value for all lanes."""
    ctype = with_lanes("int", lanes_of(node))
    return f"({ctype})(-(int){printer.text(node.value, UNARY)})", UNARY


def comparison(printer: Any, node: Any) -> Written:
    """A comparison, with a number on the right: x >= 3 for 3 <= x."""
    if type(node) in _TURNED and is_number(node.a) and not is_number(node.b):
        node = _TURNED[type(node)](node.b, node.a)
    operator, precedence = _COMPARISONS[type(node)]
    if element_of(node.a) == "bool" and lanes_of(node) > 1:
        left = mask(printer, node.a, least=precedence)
        right = mask(printer, node.b, least=precedence + 1)
    else:
        left = printer.operand(node.a, node.b, precedence)
        right = printer.operand(node.b, node.a, precedence + 1)
    return f"{left} {operator} {right}", precedence


def logical(printer: Any, node: Any) -> Written:
    """And, or."""
    scalar, vector, precedence = _LOGICAL[type(node)]
    if lanes_of(node) == 1:
        pair = (node.a, node.b)  # others in parentheses: compilers want to see how they nest
        texts = (printer.text(n, precedence if type(n) is type(node) else EQUALITY) for n in pair)
        return f" {scalar} ".join(texts), precedence
    bits = _bits(printer, node)
    left, right = mask(printer, node.a, bits, UNARY), mask(printer, node.b, bits, UNARY)
    return f"{left} {vector} {right}", BITS


def choice(printer: Any, condition: Any, then: Any, otherwise: Any) -> Written:
    """One of two values, lane by lane if the condition is a vector."""
    element = element_of(then)
    if lanes_of(condition) == 1:
        parts = [printer.text(each, OR) for each in (condition, then, otherwise)]
        if element == "bool" and lanes_of(then) > 1:
            parts[1:] = [mask(printer, each, least=OR) for each in (then, otherwise)]
        return f"{parts[0]} ? {parts[1]} : {parts[2]}", CHOICE
    if element == "bool":
        values = [mask(printer, each) for each in (otherwise, then)]
        return f"select({', '.join(values)}, {mask(printer, condition)})", ATOM
    chosen = mask(printer, condition, printer.register_bits(element))
    return f"select({printer.text(otherwise)}, {printer.text(then)}, {chosen})", ATOM


def _bits(printer: Any, node: Any) -> int:
    """How many bits each truth value of a vector has."""
    if type(node) in _COMPARISONS:
        element = element_of(node.a)
        return VARIABLE_BITS if element == "bool" else int(printer.register_bits(element))
    if type(node) in _LOGICAL:
        return max(_bits(printer, node.a), _bits(printer, node.b))
    if isinstance(node, tirx.Not):
        return _bits(printer, node.a)
    if isinstance(node, tirx.Cast) and element_of(node.value) != "bool":
        return int(printer.register_bits(element_of(node.value)))
    return VARIABLE_BITS


METHODS: dict[Any, Any] = {
    **dict.fromkeys(_COMPARISONS, comparison),
    **dict.fromkeys(_LOGICAL, logical),
}
