"""TIR expressions as OpenCL C, with the parentheses that a person would write.

Where OpenCL C differs from TIR: scalars narrower than 32 bits are computed in 32 and narrowed
again, a comparison of vectors gives -1 where it holds, in as many bits as what is compared, and
float16 in memory is float32 in registers unless the kernel computes with it.
"""

import math
from collections.abc import Callable
from typing import Any

from tvm import ir, sym, tirx

from . import words
from .lanes import elements
from .types import (
    FLOATS,
    INTEGERS,
    CannotPrint,
    components,
    element_of,
    is_narrow,
    is_vector,
    lanes_of,
    with_lanes,
)

# Precedences of C, high binds tighter.
ATOM, UNARY, FACTOR, SUM, SHIFT, COMPARISON, EQUALITY, BITS, AND, OR, CHOICE = range(11, 0, -1)

_BINARY: dict[Any, tuple[str, int]] = {
    tirx.Add: ("+", SUM),
    tirx.Sub: ("-", SUM),
    tirx.Mul: ("*", FACTOR),
    tirx.Div: ("/", FACTOR),
    tirx.Mod: ("%", FACTOR),
    tirx.LShift: ("<<", SHIFT),
    tirx.RShift: (">>", SHIFT),
    tirx.BitwiseAnd: ("&", BITS),
    tirx.BitwiseOr: ("|", BITS),
    tirx.BitwiseXor: ("^", BITS),
}
_COMPARISONS: dict[Any, tuple[str, int]] = {
    tirx.LT: ("<", COMPARISON),
    tirx.LE: ("<=", COMPARISON),
    tirx.GT: (">", COMPARISON),
    tirx.GE: (">=", COMPARISON),
    tirx.EQ: ("==", EQUALITY),
    tirx.NE: ("!=", EQUALITY),
}
_LOGICAL: dict[Any, tuple[str, str, int]] = {  # of truth values, of vectors of them
    tirx.And: ("&&", "&", AND),
    tirx.Or: ("||", "|", OR),
}
_FUNCTIONS = {
    **{name: name for name in ("sqrt", "fabs", "floor", "ceil", "trunc", "round", "fma", "fmod")},
    **{name: name for name in ("exp", "log", "pow", "popcount", "clz")},
    "nearbyint": "rint",
}
_LEAST = {"int32": "INT_MIN", "int64": "LONG_MIN"}
Written = tuple[str, int]  # OpenCL C and its precedence


class ExpressionPrinter:
    """Prints expressions, and notes what they need.

    Args:
        name_of: Gives the name of a variable.
        load: Gives the text of a load from a buffer.
        ranges: Knows the ranges of the variables.
        kind: What words of small integers hold.
        half_arithmetic: Whether float16 is half in registers, not float.
    """

    def __init__(
        self,
        name_of: Callable[[Any], str],
        load: Callable[[Any], Written],
        ranges: sym.Analyzer,
        kind: words.Kind,
        half_arithmetic: bool,
    ) -> None:
        self._name_of = name_of
        self._load = load
        self._ranges = ranges
        self.kind = kind
        self.half_arithmetic = half_arithmetic
        self.helpers: set[str] = set()
        self.extensions: set[str] = {"cl_khr_fp16"} if half_arithmetic else set()
        self.rounds = False  # whether a result may not become a part of a multiply-add

    def text(self, node: Any, least: int = 0) -> str:
        """An expression, in parentheses unless it binds at least as tightly as `least`."""
        written, precedence = self._written(node)
        return f"({written})" if precedence < least else written

    def index(self, node: Any, least: int = SUM) -> str:
        """A place in a buffer."""
        return self.text(node, least)

    def ctype(self, element: str, lanes: int = 1) -> str:
        """The type of values in registers; truth values of vectors are int."""
        if element == "bool":
            return "bool" if lanes == 1 else with_lanes("int", lanes)
        if element == "float64":
            self.extensions.add("cl_khr_fp64")
        if element == "float16" and not self.half_arithmetic:
            element = "float32"
        name = INTEGERS.get(element) or FLOATS.get(element)
        if element == "bfloat16":
            name = "ushort"
        if name is None:
            raise CannotPrint(f"values of {element}")
        return with_lanes(name, lanes)

    def type_of(self, node: Any) -> str:
        """The type of an expression's value."""
        return self.ctype(element_of(node), lanes_of(node))

    def call(self, helper: str, *arguments: str) -> Written:
        """A call of a function of the preamble."""
        self.helpers.add(helper)
        return f"{helper}({', '.join(arguments)})", ATOM

    def mask(self, node: Any, bits: int, least: int = 0) -> str:
        """A vector of truth values as integers of `bits` bits: -1 where it holds, else 0."""
        lanes, own = lanes_of(node), self._mask_bits(node)
        if own == bits:
            return self.text(node, least)
        integer = INTEGERS[f"int{bits}"]
        return f"convert_{with_lanes(integer, lanes)}({self.text(node)})"

    def _mask_bits(self, node: Any) -> int:
        """How many bits each truth value of a vector has."""
        if type(node) in _COMPARISONS:
            element = element_of(node.a)
            return 32 if element == "bool" else self._register_bits(element)
        if type(node) in _LOGICAL:
            return max(self._mask_bits(node.a), self._mask_bits(node.b))
        if isinstance(node, tirx.Not):
            return self._mask_bits(node.a)
        if isinstance(node, tirx.Cast) and element_of(node.value) != "bool":
            return self._register_bits(element_of(node.value))
        return 32

    def _register_bits(self, element: str) -> int:
        if element == "float16" and not self.half_arithmetic:
            return 32
        return int(element.lstrip("buintfloa"))

    def _written(self, node: Any) -> Written:
        kind = type(node)
        if isinstance(node, tirx.IntImm):
            return _integer(int(node.value), element_of(node))
        if isinstance(node, tirx.FloatImm):
            return self._real(float(node.value), element_of(node))
        if isinstance(node, ir.Call):
            return self._called(node)
        if isinstance(node, ir.TensorLoad):
            return self._load(node)
        if isinstance(node, ir.Var):
            return self._name_of(node), ATOM
        if kind in _COMPARISONS:
            return self._comparison(_turned(node))
        if kind in _LOGICAL:
            return self._logical(node)
        if kind in _BINARY:
            return self._binary(node, *_BINARY[kind])
        if method := _METHODS.get(kind):
            written: Written = method(self, node)
            return written
        raise CannotPrint(f"{kind.__name__} in {node}")

    def _real(self, value: float, element: str) -> Written:
        if element == "float16" and self.half_arithmetic:
            return f"(half){self._real(value, 'float32')[0]}", UNARY
        double = self.ctype(element) == "double"
        if math.isnan(value):
            return ("(double)NAN", UNARY) if double else ("NAN", ATOM)
        if math.isinf(value):
            sign = "-" if value < 0 else ""
            return f"{sign}{'(double)' if double else ''}INFINITY", UNARY
        text = repr(value) if double else f"{value:.9g}"
        if not any(mark in text for mark in ".e"):
            text += ".0"
        negative = math.copysign(1.0, value) < 0
        return text + ("" if double else "f"), UNARY if negative else ATOM

    def _binary(self, node: Any, operator: str, precedence: int) -> Written:
        element = element_of(node)
        if operator == "%" and element in FLOATS:
            return f"fmod({self.text(node.a)}, {self.text(node.b)})", ATOM
        self._note_arithmetic(node)
        mixed = precedence in (SHIFT, BITS)  # compilers want to see how these nest
        left = self._operand(node.a, node.b, UNARY if mixed else precedence)
        right = self._operand(node.b, node.a, UNARY if mixed else precedence + 1)
        if operator == "+" and right.startswith("-"):
            written = f"{left} - {right[1:]}"
        else:
            written = f"{left} {operator} {right}"
        if lanes_of(node) == 1 and is_narrow(element) and element != "bool":
            return f"({INTEGERS[element]})({written})", UNARY
        return written, precedence

    def _operand(self, node: Any, other: Any, least: int) -> str:
        """An operand; where the other one is a vector a number may stay one."""
        plain = isinstance(node, tirx.Broadcast) and not isinstance(other, tirx.Broadcast)
        if plain and not is_narrow(element_of(node)):
            return self.text(node.value, least)
        return self.text(node, least)

    def _note_arithmetic(self, node: Any) -> None:
        if element_of(node) == "float16" and not self.half_arithmetic:
            raise CannotPrint(f"arithmetic of float16 in {node}")

    def _comparison(self, node: Any) -> Written:
        operator, precedence = _COMPARISONS[type(node)]
        if element_of(node.a) == "bool" and lanes_of(node) > 1:
            left, right = self.mask(node.a, 32, precedence), self.mask(node.b, 32, precedence + 1)
        else:
            left = self._operand(node.a, node.b, precedence)
            right = self._operand(node.b, node.a, precedence + 1)
        return f"{left} {operator} {right}", precedence

    def _logical(self, node: Any) -> Written:
        scalar, vector, precedence = _LOGICAL[type(node)]
        if lanes_of(node) == 1:
            left, right = self.text(node.a, EQUALITY), self.text(node.b, EQUALITY)
            return f"{left} {scalar} {right}", precedence
        bits = self._mask_bits(node)
        left, right = self.mask(node.a, bits, UNARY), self.mask(node.b, bits, UNARY)
        return f"{left} {vector} {right}", BITS

    def _extreme(self, node: Any) -> Written:
        """max(a, b) is a > b ? a : b: NaN in a is lost, in b it stays."""
        self._note_arithmetic(node)
        element, lanes = element_of(node), lanes_of(node)
        which = "max" if isinstance(node, tirx.Max) else "min"
        if element in FLOATS:
            if _is_number(node.b):
                return f"f{which}({self.text(node.a)}, {self._operand(node.b, node.a, 0)})", ATOM
            name = f"{which}_{self.ctype(element, lanes)}"
            return self.call(name, self.text(node.a), self.text(node.b))
        if lanes == 1 and is_narrow(element):
            pair = f"(int){self.text(node.a, UNARY)}, (int){self.text(node.b, UNARY)}"
            return f"({self.ctype(element)}){which}({pair})", UNARY
        if element == "bool":
            return self._logical((tirx.Or if which == "max" else tirx.And)(node.a, node.b))
        pair = f"{self.text(node.a)}, {self._operand(node.b, node.a, 0)}"
        return f"{which}({pair})", ATOM

    def _floor_division(self, node: Any) -> Written:
        """What truncates where nothing is negative."""
        quotient = isinstance(node, tirx.FloorDiv)
        if element_of(node).startswith("u") or self._is_positive(node.a, node.b):
            return self._binary(node, *(("/", FACTOR) if quotient else ("%", FACTOR)))
        name = f"floor_{'div' if quotient else 'mod'}_{self.type_of(node)}"
        return self.call(name, self.text(node.a), self.text(node.b))

    def _is_positive(self, *nodes: Any) -> bool:
        if any(lanes_of(node) > 1 for node in nodes):
            return False
        return all(self._ranges.can_prove(node >= 0) for node in nodes)

    def _cast(self, node: Any) -> Written:
        element, lanes, value = element_of(node), lanes_of(node), node.value
        source = element_of(value)
        if self.ctype(element, lanes) == self.ctype(source, lanes) and "bool" not in (
            element,
            source,
        ):
            return self._written(value)  # float16 too, which is rounded where it is stored
        if element == "bool":
            zero = "0.0f" if source == "float32" else "0"
            if lanes > 1 and is_narrow(source):
                zero = f"({self.ctype(source, lanes)})(0)"
            return f"{self.text(value, EQUALITY + 1)} != {zero}", EQUALITY
        ctype = self.ctype(element, lanes)
        if lanes == 1:
            return f"({ctype}){self.text(value, UNARY)}", UNARY
        if source == "bool":
            mask = self.mask(value, self._register_bits(element))
            return f"select(({ctype})(0), ({ctype})(1), {mask})", ATOM
        return f"convert_{ctype}({self.text(value)})", ATOM

    def _broadcast(self, node: Any) -> Written:
        lanes = lanes_of(node)
        if element_of(node) == "bool":
            return f"(({with_lanes('int', lanes)})(-({self.text(node.value)})))", ATOM
        return f"({self.type_of(node)})({self.text(node.value)})", UNARY

    def _ramp(self, node: Any) -> Written:
        return self.gathered(node, [self.text(each) for each in elements(node)])

    def gathered(self, node: Any, texts: list[str]) -> Written:
        """A vector of the type of a node, of the texts of its elements."""
        return f"({self.type_of(node)})({', '.join(texts)})", UNARY

    def _not(self, node: Any) -> Written:
        return f"!{self.text(node.a, UNARY)}", UNARY

    def _complement(self, node: Any) -> Written:
        element = element_of(node)
        written = f"~{self.text(node.a, UNARY)}", UNARY
        if lanes_of(node) == 1 and is_narrow(element):
            return f"({INTEGERS[element]}){written[0]}", UNARY
        return written

    def _select(self, node: Any) -> Written:
        return self._choice(node.condition, node.true_value, node.false_value)

    def _choice(self, condition: Any, then: Any, otherwise: Any) -> Written:
        element = element_of(then)
        if lanes_of(condition) == 1:
            parts = self.text(condition, OR), self.text(then, OR), self.text(otherwise, OR)
            return f"{parts[0]} ? {parts[1]} : {parts[2]}", CHOICE
        bits = self._register_bits(element) if element != "bool" else 32
        if element == "bool":
            values = self.mask(otherwise, 32), self.mask(then, 32)
        else:
            values = self.text(otherwise), self.text(then)
        return f"select({', '.join(values)}, {self.mask(condition, bits)})", ATOM

    def _shuffle(self, node: Any) -> Written:
        places = [int(place) for place in node.indices]
        if len(node.vectors) == 1:
            vector = node.vectors[0]
        else:
            lanes = sum(lanes_of(each) for each in node.vectors)
            ctype = self.ctype(element_of(node), lanes)
            text = f"(({ctype})({', '.join(self.text(each) for each in node.vectors)}))"
            return f"{text}.s{''.join(f'{place:x}' for place in places)}", ATOM
        if not is_vector(lanes_of(vector)):
            raise CannotPrint(f"a part of {vector}")
        chosen = components(places[0], 1) if len(places) == 1 else None
        chosen = chosen or "s" + "".join(f"{place:x}" for place in places)
        return f"{self.text(vector, ATOM)}.{chosen}", ATOM

    def _called(self, node: Any) -> Written:
        name = str(node.op.name).rpartition(".")[2]
        if name == "if_then_else":
            return self._choice(*node.args)
        if name == "likely":
            return self._written(node.args[0])
        if name == "reinterpret":
            return self._reinterpreted(node)
        if name == "call_llvm_pure_intrin":
            return self._intrinsic(node)
        if name.startswith("penjing_"):
            return words.write(self, name.removeprefix("penjing_"), list(node.args), node)
        if name in _FUNCTIONS:
            arguments = ", ".join(self.text(each) for each in node.args)
            return f"{_FUNCTIONS[name]}({arguments})", ATOM
        raise CannotPrint(f"{node.op.name} of {element_of(node)}")

    def _intrinsic(self, node: Any) -> Written:
        number, *arguments = node.args
        name = words.intrinsic(int(number))
        if name == "llvm.arithmetic.fence":
            self.rounds = True
            return self._written(arguments[0])
        if name == "llvm.aarch64.neon.faddp":
            return self.call("pair_sums_float4", *map(self.text, arguments))
        raise CannotPrint(f"{name} in {node}")

    def _reinterpreted(self, node: Any) -> Written:
        (value,) = node.args
        new = self.type_of(node)
        if new == self.type_of(value):
            return self._written(value)
        return f"as_{new}({self.text(value)})", ATOM


_METHODS: dict[Any, Callable[[ExpressionPrinter, Any], Written]] = {
    tirx.Min: ExpressionPrinter._extreme,
    tirx.Max: ExpressionPrinter._extreme,
    tirx.FloorDiv: ExpressionPrinter._floor_division,
    tirx.FloorMod: ExpressionPrinter._floor_division,
    tirx.Cast: ExpressionPrinter._cast,
    tirx.Broadcast: ExpressionPrinter._broadcast,
    tirx.Ramp: ExpressionPrinter._ramp,
    tirx.Not: ExpressionPrinter._not,
    tirx.BitwiseNot: ExpressionPrinter._complement,
    tirx.Select: ExpressionPrinter._select,
    tirx.Shuffle: ExpressionPrinter._shuffle,
}


def _turned(node: Any) -> Any:
    """A comparison with its number on the right: x >= 3 for 3 <= x."""
    turned = {tirx.LT: tirx.GT, tirx.LE: tirx.GE, tirx.GT: tirx.LT, tirx.GE: tirx.LE}
    if type(node) in turned and _is_number(node.a) and not _is_number(node.b):
        return turned[type(node)](node.b, node.a)
    return node


def _is_number(node: Any) -> bool:
    value = node.value if isinstance(node, tirx.Broadcast) else node
    return isinstance(value, (tirx.IntImm, tirx.FloatImm))


def _integer(value: int, element: str) -> Written:
    if element == "bool":
        return ("true" if value else "false"), ATOM
    if element in _LEAST and value == -(1 << int(element[3:]) - 1):
        return _LEAST[element], ATOM
    suffix = {"int64": "L", "uint64": "UL", "uint32": "u"}.get(element, "")
    return f"{value}{suffix}", ATOM if value >= 0 else UNARY
