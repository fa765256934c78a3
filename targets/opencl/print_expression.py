"""TIR expressions as OpenCL C, with the parentheses that a person would write.

Where OpenCL C differs from TIR: scalars narrower than 32 bits are computed in 32 and narrowed
again, truth values of vectors are masks (truth.py), and float16 in memory is float32 in registers
unless the kernel computes with it.
"""

from collections.abc import Callable
from typing import Any

from tvm import ir, sym, tirx

from . import truth, words
from .lanes import elements
from .literals import integer, is_number, real
from .precedence import ATOM, BITS, FACTOR, SHIFT, SUM, UNARY, Written
from .types import (
    FLOATS,
    INTEGERS,
    CannotPrint,
    element_of,
    is_narrow,
    is_vector,
    lanes_of,
    with_lanes,
)

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
_FUNCTIONS = {
    **{name: name for name in ("sqrt", "fabs", "floor", "ceil", "trunc", "round", "fma", "fmod")},
    **{name: name for name in ("exp", "log", "pow", "popcount", "clz")},
    "nearbyint": "rint",
}


class ExpressionPrinter:
    """Prints expressions, and notes what they need.

    Args:
        name_of: Gives the name of a variable.
        load: Gives the text of a load from a buffer.
        ranges: Knows the ranges of the variables.
        kind: What words of small integers hold.
        half_arithmetic: Whether float16 is half in registers, not float.
        exact: Whether quotients and roots of float32 are correctly rounded.
    """

    def __init__(
        self,
        name_of: Callable[[Any], str],
        load: Callable[[Any], Written],
        ranges: sym.Analyzer,
        kind: words.Kind,
        half_arithmetic: bool,
        exact: bool,
    ) -> None:
        self._name_of = name_of
        self._load = load
        self._ranges = ranges
        self.kind = kind
        self.half_arithmetic = half_arithmetic
        self._exact = exact
        self.helpers: set[str] = set()
        self.extensions: set[str] = {"cl_khr_fp16"} if half_arithmetic else set()

    def text(self, node: Any, least: int = 0) -> str:
        """An expression, in parentheses unless it binds at least as tightly as `least`."""
        written, precedence = self._written(node)
        return f"({written})" if precedence < least else written

    def ctype(self, element: str, lanes: int = 1) -> str:
        """The type of values in registers; truth values of vectors are int."""
        if element == "bool":
            return "bool" if lanes == 1 else with_lanes("int", lanes)
        if element == "float64":
            self.extensions.add("cl_khr_fp64")
        if element == "float16" and not self.half_arithmetic:
            element = "float32"
        known = {**INTEGERS, **FLOATS, "bfloat16": "ushort"}
        if element not in known:
            raise CannotPrint(f"values of {element}")
        return with_lanes(known[element], lanes)

    def type_of(self, node: Any) -> str:
        """The type of an expression's value."""
        return self.ctype(element_of(node), lanes_of(node))

    def register_bits(self, element: str) -> int:
        """How many bits a value has in a register."""
        if element == "float16" and not self.half_arithmetic:
            return 32
        return int(element.lstrip("buintfloa"))

    def call(self, helper: str, *arguments: str) -> Written:
        """A call of a function of the preamble."""
        self.helpers.add(helper)
        return f"{helper}({', '.join(arguments)})", ATOM

    def operand(self, node: Any, other: Any, least: int) -> str:
        """An operand; where the other one is a vector a number may stay one."""
        plain = isinstance(node, tirx.Broadcast) and not isinstance(other, tirx.Broadcast)
        if plain and not is_narrow(element_of(node)):
            return self.text(node.value, least)
        return self.text(node, least)

    def gathered(self, node: Any, texts: list[str]) -> Written:
        """A vector of the type of a node, of the texts of its elements."""
        return f"({self.type_of(node)})({', '.join(texts)})", UNARY

    def _written(self, node: Any) -> Written:
        if method := _METHODS.get(type(node)):
            written: Written = method(self, node)
            return written
        raise CannotPrint(f"{type(node).__name__} in {node}")

    def _integer(self, node: Any) -> Written:
        text = integer(int(node.value), element_of(node))
        return text, UNARY if text.startswith("-") else ATOM

    def _real(self, node: Any) -> Written:
        text = real(float(node.value), self.type_of(node))
        return text, UNARY if text.startswith(("-", "(")) else ATOM

    def _binary(self, node: Any) -> Written:
        element = element_of(node)
        if isinstance(node, tirx.Mod) and element in FLOATS:
            return f"fmod({self.text(node.a)}, {self.text(node.b)})", ATOM
        if isinstance(node, tirx.Div) and element == "float32" and self._exact:
            return self.call(f"divide_{self.type_of(node)}", self.text(node.a), self.text(node.b))
        return self._operated(node, *_BINARY[type(node)])

    def _operated(self, node: Any, operator: str, precedence: int) -> Written:
        self._check_half(node)
        mixed = precedence in (SHIFT, BITS)  # compilers want to see how these nest
        other = node.a if precedence == SHIFT else node.b  # vectors do not shift a number
        left = self.operand(node.a, other, UNARY if mixed else precedence)
        right = self.operand(node.b, node.a, UNARY if mixed else precedence + 1)
        if operator == "+" and right.startswith("-"):
            written = f"{left} - {right[1:]}"
        else:
            written = f"{left} {operator} {right}"
        return self._narrowed(node, written, precedence)

    def _narrowed(self, node: Any, written: str, precedence: int) -> Written:
        """What C computes in int, in the type that it has in TIR."""
        element = element_of(node)
        if lanes_of(node) == 1 and is_narrow(element) and element != "bool":
            return f"({INTEGERS[element]})({written})", UNARY
        return written, precedence

    def _check_half(self, node: Any) -> None:
        if element_of(node) == "float16" and not self.half_arithmetic:
            raise CannotPrint(f"arithmetic of float16 in {node}")

    def _extreme(self, node: Any) -> Written:
        """max(a, b) is a > b ? a : b: NaN in a is lost, in b it stays."""
        self._check_half(node)
        element, lanes = element_of(node), lanes_of(node)
        which = "max" if isinstance(node, tirx.Max) else "min"
        if element == "bool":
            either = tirx.Or if which == "max" else tirx.And
            return truth.logical(self, either(node.a, node.b))
        if element in FLOATS and not is_number(node.b):
            name = f"{which}_{self.ctype(element, lanes)}"
            return self.call(name, self.text(node.a), self.text(node.b))
        if lanes == 1 and is_narrow(element):
            pair = f"(int){self.text(node.a, UNARY)}, (int){self.text(node.b, UNARY)}"
            return f"({self.ctype(element)}){which}({pair})", UNARY
        function = f"f{which}" if element in FLOATS else which
        return f"{function}({self.text(node.a)}, {self.text(node.b)})", ATOM

    def _floor_division(self, node: Any) -> Written:
        """What truncates where nothing is negative."""
        is_quotient = isinstance(node, tirx.FloorDiv)
        if element_of(node).startswith("u") or self._is_positive(node.a, node.b):
            return self._operated(node, "/" if is_quotient else "%", FACTOR)
        name = f"floor_{'div' if is_quotient else 'mod'}_{self.type_of(node)}"
        return self.call(name, self.text(node.a), self.text(node.b))

    def _is_positive(self, *nodes: Any) -> bool:
        if any(lanes_of(node) > 1 for node in nodes):
            return False
        bounds = (self._ranges.const_int_bound(node) for node in nodes)
        return all(int(bound.min_value) >= 0 for bound in bounds)

    def _cast(self, node: Any) -> Written:
        element, lanes, value = element_of(node), lanes_of(node), node.value
        source = element_of(value)
        if element == source:
            return self._written(value)
        if element == "bool":
            return truth.is_set(self, value)
        if source == "bool" and lanes > 1:
            return truth.as_numbers(self, value, element), ATOM
        ctype = self.ctype(element, lanes)
        if ctype == self.type_of(value):
            return self._written(value)  # float16, which is rounded where it is stored
        if lanes == 1:
            return f"({ctype}){self.text(value, UNARY)}", UNARY
        return f"convert_{ctype}({self.text(value)})", ATOM

    def _broadcast(self, node: Any) -> Written:
        if element_of(node) == "bool":
            return truth.broadcast(self, node)
        return f"({self.type_of(node)})({self.text(node.value)})", UNARY

    def _ramp(self, node: Any) -> Written:
        return self.gathered(node, [self.text(each) for each in elements(node)])

    def _not(self, node: Any) -> Written:
        return f"!{self.text(node.a, UNARY)}", UNARY

    def _complement(self, node: Any) -> Written:
        return self._narrowed(node, f"~{self.text(node.a, UNARY)}", UNARY)

    def _select(self, node: Any) -> Written:
        return truth.choice(self, node.condition, node.true_value, node.false_value)

    def _shuffle(self, node: Any) -> Written:
        chosen = "s" + "".join(f"{int(place):x}" for place in node.indices)
        if len(node.vectors) == 1:
            (vector,) = node.vectors
            if not is_vector(lanes_of(vector)):
                raise CannotPrint(f"a part of {vector}")
            return f"{self.text(vector, ATOM)}.{chosen}", ATOM
        if all(lanes_of(each) == 1 for each in node.vectors):
            texts = [self.text(node.vectors[int(place)]) for place in node.indices]
            return self.gathered(node, texts)
        ctype = self.ctype(element_of(node), sum(lanes_of(each) for each in node.vectors))
        texts = [self.text(each) for each in node.vectors]
        return f"(({ctype})({', '.join(texts)})).{chosen}", ATOM

    def _called(self, node: Any) -> Written:
        name = str(node.op.name).rpartition(".")[2]
        if name == "if_then_else":
            return truth.choice(self, *node.args)
        if name == "likely":
            return self._written(node.args[0])
        if name == "reinterpret":
            return self._reinterpreted(node)
        if name == "call_llvm_pure_intrin":
            return self._intrinsic(node)
        if name.startswith("penjing_"):
            return words.write(self, name.removeprefix("penjing_"), list(node.args), node)
        if name == "sqrt" and element_of(node) == "float32" and self._exact:
            return self.call(f"root_{self.type_of(node)}", self.text(node.args[0]))
        if name in _FUNCTIONS:
            arguments = ", ".join(self.text(each) for each in node.args)
            return f"{_FUNCTIONS[name]}({arguments})", ATOM
        raise CannotPrint(f"{node.op.name} of {element_of(node)}")

    def _intrinsic(self, node: Any) -> Written:
        number, *arguments = node.args
        name = words.intrinsic(int(number))
        if name == "llvm.arithmetic.fence":
            return self._written(arguments[0])  # no kernel with it joins products and sums
        if name == "llvm.aarch64.neon.faddp":
            return self.call("pair_sums_float4", *map(self.text, arguments))
        raise CannotPrint(f"{name} in {node}")

    def _reinterpreted(self, node: Any) -> Written:
        (value,) = node.args
        if self.type_of(node) == self.type_of(value):
            return self._written(value)
        return f"as_{self.type_of(node)}({self.text(value)})", ATOM


_METHODS: dict[Any, Callable[[ExpressionPrinter, Any], Written]] = {
    ir.Call: ExpressionPrinter._called,
    ir.TensorLoad: lambda printer, node: printer._load(node),
    ir.Var: lambda printer, node: (printer._name_of(node), ATOM),
    tirx.IntImm: ExpressionPrinter._integer,
    tirx.FloatImm: ExpressionPrinter._real,
    **dict.fromkeys(_BINARY, ExpressionPrinter._binary),
    **truth.METHODS,
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
