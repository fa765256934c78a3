"""Operations on words of small integers, which a schedule treats as any other arithmetic.

A word is four int8 side by side in the 32 bits of an int32; on x86 without VNNI it is two int16,
that of weights two int8. `dot(a, b)` is the sum of the products of what two words hold: one
instruction, or a few. To a template a product of int8 is then one of words, and its tiles, panels
and loops are those of 32-bit floats.
"""

from collections.abc import Sequence
from typing import Any

import tvm_ffi
from tvm import ir, sym, tirx

from ..target import Target
from . import integer_arm, integer_groups, integer_x86
from .integer_arm import sums_pairs
from .integer_vectors import (
    BYTES,
    dot_by_bytes,
    filled,
    in_registers,
    interleaved,
    lanes_of,
    narrow_by_clamp,
    typed,
)
from .integer_x86 import is_x86, takes_halves, takes_unsigned
from .tiles import paired, spread

_NAMES = (
    *("dot", "word", "multiply_high", "narrow", "requantize", "dot_halves", "weigh"),
    "dot_groups",
)
_OPERATIONS = _DOT, _WORD, _HIGH, _NARROW, _REQUANTIZE, _HALVES, _WEIGH, _GROUPS = tuple(
    f"tirx.penjing_{name}" for name in _NAMES
)
_PURE = 1  # TIR's CallEffectKind


def _register(name: str) -> None:
    if name not in ir.Op.list_op_names():
        tvm_ffi.get_global_func("ir.RegisterOp")(name, "of words of small integers")
        ir.register_op_attr(name, "TCallEffectKind", _PURE)
        ir.register_op_attr(name, "TVectorizable", True)
        ir.register_op_attr(name, "TScriptPrinterName", name.removeprefix("tirx."))


for _name in _OPERATIONS:
    _register(_name)


def dot(weights: Any, inputs: Any) -> Any:
    """The sum of the products of the weights of one word and the inputs of another, int32."""
    return _call(_DOT, weights, inputs)


def dot_halves(a: Any, b: Any) -> Any:
    """The sum of the products of the two int16 that words hold, int32."""
    return _call(_HALVES, a, b)


def dot_groups(start: Any, packed: Sequence[Any], inputs: Sequence[Any]) -> Any:
    """start + the sum of the products of 4-bit weights, as stored, and inputs: integer_groups.py.

    There are twice as many words of inputs as packed words.
    """
    return _call(_GROUPS, start, *packed, *inputs)


def word(*elements: Any) -> Any:
    """The word of four int8, or of two int8 or int16 as int16, the first one in its low bits."""
    return _call(_WORD, *elements)


def multiply_high(a: Any, b: Any) -> Any:
    """(a * b + 2^30) >> 31 of int32, the product in 64 bits; not both -2^31."""
    return _call(_HIGH, a, b)


def narrow(value: Any, low: int, high: int, *, shift: int = 0, zero_point: int = 0) -> Any:
    """clamp((value >> shift) + zero_point, low, high) of int32 as int8, without overflow."""
    numbers = (tirx.const(number, "int32") for number in (shift, zero_point, low, high))
    return _call(_NARROW, value, *numbers, dtype="int8")


def requantize_by_halves(value: Any, quadruple: Any, zero_point: int, low: int, high: int) -> Any:
    """clamp(zero_point + multiply_high(value, quadruple / 4), low, high) as int8.

    The upper half of value * quadruple counts halves of steps, rounded down: it rounds the same.
    """
    numbers = (tirx.const(number, "int32") for number in (zero_point, low, high))
    return _call(_REQUANTIZE, value, quadruple, *numbers, dtype="int8")


def weigh(
    values: tuple[Any, Any], factors: tuple[int, int], offset: int, shift: int, low: int, high: int
) -> Any:
    """clamp((a * x + b * y + offset) >> shift, low, high) as int8, of int8 x and y on x86.

    Factors a and b fit 16 bits.
    """
    numbers = (tirx.const(number, "int32") for number in (*factors, offset, shift, low, high))
    return _call(_WEIGH, *values, *numbers, dtype="int8")


def has_dots(target: Target) -> bool:
    """Whether a few instructions multiply and add words."""
    return "+dotprod" in target.features or sums_pairs(target) or is_x86(target)


def word_length(target: Target) -> int:
    """How many elements a word has."""
    return 2 if takes_halves(target) else BYTES


def adds_dots(target: Target) -> bool:
    """Whether one instruction multiplies words of vectors and adds: SDOT."""
    return "+dotprod" in target.features


def sums_products(target: Target) -> bool:
    """Whether instructions sum products of int8 in vectors of 16 bits: SMULL, SMLAL."""
    return integer_arm.is_arm(target)


def multiplies_words(expression: Any) -> bool:
    """Whether dots are in an expression."""
    return any(_is(node, name) for node in _calls(expression) for name in (_DOT, _HALVES))


def narrows(expression: Any) -> bool:
    """Whether an expression is int32 narrowed to int8."""
    return any(_is(expression, name) for name in (_NARROW, _REQUANTIZE, _WEIGH))


def for_dots(target: Target) -> Target:
    """The core as a template of products should see it if they are of words."""
    if is_x86(target):
        return spread(target)
    return paired(target) if sums_pairs(target) else target


def use_instructions(func: Any, target: Target) -> Any:
    """Write the operations as what the target has for them.

    Indices must be simplified, and vectors be vectors.
    """
    if not any(_is(node, name) for node in _calls(func.body) for name in _OPERATIONS):
        return func

    def added(node: Any) -> Any:
        for total, product in ((node.a, node.b), (node.b, node.a)):
            if _is(product, _DOT):
                return _accumulate(target, total, *product.args)
            if _is(product, _HALVES):
                return integer_x86.accumulate_halves(target, total, *product.args)
        return node

    def called(node: Any) -> Any:
        if _is(node, _WORD):
            return _joined(list(node.args))
        if _is(node, _NARROW):
            return _narrowed(target, node.args[0], *map(_number, node.args[1:]))
        if _is(node, _WEIGH):
            return integer_x86.weigh(target, node.args[:2], *map(_number, node.args[2:]))
        if _is(node, _REQUANTIZE):
            return integer_x86.requantize(target, *node.args[:2], *map(_number, node.args[2:]))
        return _multiply_high(target, *node.args) if _is(node, _HIGH) else node

    def alone(node: Any) -> Any:
        if _is(node, _HALVES):
            return integer_x86.dot_halves(*node.args)
        if _is(node, _GROUPS):
            start, *words = node.args
            count = len(words) // 3
            return integer_groups.dot_groups(target, start, words[:count], words[count:])
        if not _is(node, _DOT):
            return node
        if takes_halves(target):
            return integer_x86.dot_of_pairs(*node.args)
        if adds_dots(target):
            return _accumulate(target, filled(0, lanes_of(node.args[0])), *node.args)
        return dot_by_bytes(*node.args, unsigned=takes_unsigned(target))

    def loaded(node: Any) -> Any:
        return in_registers(node, target.lanes(32))

    body = tvm_ffi.structural_map(func.body, (ir.TensorLoad, loaded))
    body = tvm_ffi.structural_map(body, ((tirx.Add, added), (ir.Call, called)))
    body = tvm_ffi.structural_map(body, (ir.Call, alone))
    return tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)


def _call(name: str, *arguments: Any, dtype: str = "int32") -> Any:
    return ir.Call(ir.Op.get(name), list(arguments), ret_ty=ir.PrimType(dtype))


def _calls(body: Any) -> list[Any]:
    found: list[Any] = []
    tvm_ffi.structural_walk(body, (ir.Call, found.append), order="pre")
    return found


def _is(node: Any, name: str) -> bool:
    return isinstance(node, ir.Call) and isinstance(node.op, ir.Op) and node.op.name == name


def _accumulate(target: Target, total: Any, weights: Any, inputs: Any) -> Any:
    """total + dot(weights, inputs)."""
    if takes_halves(target):
        return total + integer_x86.dot_of_pairs(weights, inputs)
    if takes_unsigned(target):
        return integer_x86.accumulate(total, weights, inputs)
    return integer_arm.accumulate(target, total, weights, inputs)


def _multiply_high(target: Target, a: Any, b: Any) -> Any:
    """(a * b + 2^30) >> 31."""
    if integer_arm.is_arm(target):
        return integer_arm.multiply_high(target, a, b)
    return integer_x86.multiply_high(target, a, b)


def _narrowed(target: Target, value: Any, shift: int, zero_point: int, low: int, high: int) -> Any:
    """clamp((value >> shift) + zero_point, low, high) as int8."""
    if integer_arm.is_arm(target) and lanes_of(value) in (4, 8, 16):
        return integer_arm.narrow(target, value, shift, zero_point, low, high)
    if integer_x86.packs(target, lanes_of(value)):
        return integer_x86.narrow(target, value, shift, zero_point, low, high)
    return narrow_by_clamp(value, shift, zero_point, low, high)


def _number(constant: Any) -> int:
    """The number that a constant, or a vector of it, holds."""
    return int(constant.value if isinstance(constant, tirx.Broadcast) else constant)


def _joined(elements: list[Any]) -> Any:
    """A word of loads that lie side by side as one load, of anything else by shifts."""
    lanes = lanes_of(elements[0])
    count = len(elements)
    bits = 32 // count
    if (start := _start(elements)) is not None:
        place = tirx.Ramp(start, 1, count * lanes)
        load = tirx.BufferLoad(elements[0].source, [place])
        return tirx.reinterpret(typed("int32", lanes), load.astype(f"int{bits}x{count * lanes}"))
    if lanes == 8 and count == BYTES:
        return interleaved(elements)
    total = None
    for index, element in enumerate(elements):
        byte = element.astype(typed("int32", lanes)) & filled((1 << bits) - 1, lanes)
        part = byte << filled(bits * index, lanes) if index else byte
        total = part if total is None else total | part
    return total


def _start(elements: list[Any]) -> Any:
    """The place of the first of elements that follow each other in one buffer, else None."""
    if not all(isinstance(element, ir.TensorLoad) for element in elements):
        return None
    if not all(element.source.same_as(elements[0].source) for element in elements):
        return None
    places = [element.indices[0] for element in elements]
    if isinstance(places[0], tirx.Ramp):
        if any(not _is_number(place.stride, len(elements)) for place in places):
            return None
        places = [place.base for place in places]
    analyzer = sym.Analyzer()
    steps = [analyzer.simplify(place - places[0]) for place in places]
    follow = all(_is_number(step, index) for index, step in enumerate(steps))
    return places[0] if follow else None


def _is_number(value: Any, number: int) -> bool:
    return isinstance(value, tirx.IntImm) and int(value) == number
