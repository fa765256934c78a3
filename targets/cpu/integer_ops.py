"""Operations on words of small integers, which a schedule treats as any other arithmetic.

A word is four int8 side by side in the 32 bits of an int32. `dot(a, b)` is the sum of the products
of what two words hold: one instruction where a core has it. To a template a product of int8 is then
one of words, and its tiles, panels and loops are those of 32-bit floats.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import tvm
import tvm_ffi
from tvm import ir, sym, tirx

from ..target import Target
from .tiles import paired

BYTES = 4  # int8 of a word
_NAMES = ("dot", "word", "multiply_high")
_DOT, _WORD, _HIGH = (f"tirx.penjing_{name}" for name in _NAMES)
_PURE = 1  # TIR's CallEffectKind
_SQRDMULH = {"aarch64": "llvm.aarch64.neon.sqrdmulh", "arm": "llvm.arm.neon.vqrdmulh"}


def _register(name: str) -> None:
    if name not in ir.Op.list_op_names():
        tvm_ffi.get_global_func("ir.RegisterOp")(name, "of words of small integers")
        ir.register_op_attr(name, "TCallEffectKind", _PURE)
        ir.register_op_attr(name, "TVectorizable", True)
        ir.register_op_attr(name, "TScriptPrinterName", name.removeprefix("tirx."))


for _name in (_DOT, _WORD, _HIGH):
    _register(_name)


def dot(weights: Any, inputs: Any) -> Any:
    """The sum of the products of four int8 weights and four inputs, int32."""
    return _call(_DOT, weights, inputs)


def word(*elements: Any) -> Any:
    """The word of four int8, the first one in its low bits."""
    return _call(_WORD, *elements)


def multiply_high(a: Any, b: Any) -> Any:
    """(a * b + 2^30) >> 31 of int32, the product in 64 bits; not both -2^31."""
    return _call(_HIGH, a, b)


def has_dots(target: Target) -> bool:
    """Whether a few instructions multiply and add words."""
    return "+dotprod" in target.features or sums_pairs(target) or takes_unsigned(target)


def sums_pairs(target: Target) -> bool:
    """Whether dots are made of sums of two products: weights are then stored by `in_pairs`."""
    return target.triple.startswith("aarch64") and "+dotprod" not in target.features


def takes_unsigned(target: Target) -> bool:
    """Whether dots multiply uint8 inputs by int8 weights: as VPDPBUSD does."""
    return not {"+avx512vnni", "+avxvnni"}.isdisjoint(target.features)


def multiplies_words(expression: Any) -> bool:
    """Whether dots are in an expression."""
    return any(_is(node, _DOT) for node in _calls(expression))


def for_dots(target: Target) -> Target:
    """The core as a template of products should see it if they are of words."""
    return paired(target) if sums_pairs(target) else target


def use_instructions(func: Any, target: Target) -> Any:
    """Write the operations as what the target has for them.

    Indices must be simplified, and vectors be vectors.
    """
    if not any(_is(node, name) for node in _calls(func.body) for name in (_DOT, _WORD, _HIGH)):
        return func

    def added(node: Any) -> Any:
        for total, product in ((node.a, node.b), (node.b, node.a)):
            if _is(product, _DOT):
                return _accumulate(target, total, *product.args)
        return node

    def called(node: Any) -> Any:
        if _is(node, _WORD):
            return _joined(list(node.args))
        return _high(target, *node.args) if _is(node, _HIGH) else node

    def alone(node: Any) -> Any:
        return _bytewise(target, *node.args) if _is(node, _DOT) else node

    body = tvm_ffi.structural_map(func.body, ((tirx.Add, added), (ir.Call, called)))
    body = tvm_ffi.structural_map(body, (ir.Call, alone))
    return tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)


def _call(name: str, *arguments: Any) -> Any:
    return ir.Call(ir.Op.get(name), list(arguments), ret_ty=ir.PrimType("int32"))


def _calls(body: Any) -> list[Any]:
    found: list[Any] = []
    tvm_ffi.structural_walk(body, (ir.Call, found.append), order="pre")
    return found


def _is(node: Any, name: str) -> bool:
    return isinstance(node, ir.Call) and isinstance(node.op, ir.Op) and node.op.name == name


def _lanes(value: Any) -> int:
    return int(tvm.DataType(str(value.ty.dtype)).lanes)


def _typed(name: str, lanes: int) -> str:
    return f"{name}x{lanes}" if lanes > 1 else name


def _accumulate(target: Target, total: Any, weights: Any, inputs: Any) -> Any:
    """total + dot(weights, inputs)."""
    lanes = _lanes(total)
    if takes_unsigned(target) and lanes in (4, 8, 16):
        name = f"llvm.x86.avx512.vpdpbusd.{32 * lanes}"
        operands = [tirx.reinterpret(f"int8x{4 * lanes}", value) for value in (inputs, weights)]
        return tirx.call_llvm_pure_intrin(f"int32x{lanes}", name, total, *operands)
    if takes_unsigned(target):
        return total + _bytewise(target, weights, inputs)
    if lanes > 4:
        return _halves(partial(_accumulate, target), total, weights, inputs)
    if sums_pairs(target):
        return total + _pairwise(weights, inputs)
    operands = [tirx.reinterpret("int8x16", value) for value in (weights, inputs)]
    # The operand that is spread over a vector comes last: LLVM then multiplies by lane.
    return tirx.call_llvm_pure_intrin("int32x4", "llvm.aarch64.neon.sdot", total, *operands)


def _pairwise(weights: Any, inputs: Any) -> Any:
    """Sums of four products by SMULL, SMLAL2 and SADALP; the inputs are the same word four times.

    Two products fit 16 bits unless both weights and inputs are -128: no weight may be.
    """
    vector, lane = _vector_with(inputs)
    pairs = [BYTES * lane + i for i in [0, 1] * 4 + [2, 3] * 4]
    elements = [tirx.reinterpret("int8x16", value) for value in (weights, vector)]
    spread = tirx.Shuffle([elements[1]], [tirx.const(i, "int32") for i in pairs])

    def half(side: str) -> Any:
        operands = elements[0], spread
        parts = [_call_typed("int8x8", f"tirx.vector{side}", value) for value in operands]
        return parts[0].astype("int16x8") * parts[1].astype("int16x8")

    return tirx.call_llvm_pure_intrin(
        "int32x4", "llvm.aarch64.neon.saddlp", half("low") + half("high")
    )


def _vector_with(spread: Any) -> tuple[Any, int]:
    """A vector of words and the lane in it that `spread` repeats: then one shuffle does both."""
    load = spread.value if isinstance(spread, tirx.Broadcast) else None
    if isinstance(load, ir.TensorLoad) and load.source.scope() == "local":
        place = load.indices[0]
        if isinstance(place, tirx.IntImm) and int(load.source.ty.shape[0]) % 4 == 0:
            first, lane = int(place) // 4 * 4, int(place) % 4
            return tirx.BufferLoad(load.source, [tirx.Ramp(first, 1, 4)]), lane
    return spread, 0


def _halves(function: Callable[..., Any], *vectors: Any) -> Any:
    """A function of vectors, applied to their low and high halves."""
    lanes = _lanes(vectors[0])
    half = _typed("int32", lanes // 2)
    parts = [
        function(*(_call_typed(half, f"tirx.vector{side}", vector) for vector in vectors))
        for side in ("low", "high")
    ]
    return _call_typed(_typed("int32", lanes), "tirx.vectorcombine", *parts)


def _call_typed(dtype: str, name: str, *arguments: Any) -> Any:
    return ir.Call(ir.Op.get(name), list(arguments), ret_ty=ir.PrimType(dtype))


def _bytewise(target: Target, weights: Any, inputs: Any) -> Any:
    """The products one after the other, for vectors of any length."""
    lanes = _lanes(weights)

    def signed(value: Any, index: int) -> Any:
        return (value << _spread(24 - 8 * index, lanes)) >> _spread(24, lanes)

    def unsigned(value: Any, index: int) -> Any:
        return (value >> _spread(8 * index, lanes)) & _spread(255, lanes)

    given = unsigned if takes_unsigned(target) else signed
    products = [signed(weights, i) * given(inputs, i) for i in range(BYTES)]
    return products[0] + products[1] + products[2] + products[3]


def _spread(value: int, lanes: int, dtype: str = "int32") -> Any:
    number = tirx.const(value, dtype)
    return tirx.Broadcast(number, lanes) if lanes > 1 else number


def _high(target: Target, a: Any, b: Any) -> Any:
    """(a * b + 2^30) >> 31."""
    lanes = _lanes(a)
    name = next((f for arch, f in _SQRDMULH.items() if target.triple.startswith(arch)), None)
    if name is not None and lanes > 4 and lanes % 8 == 0:
        return _halves(partial(_high, target), a, b)
    if name is not None and lanes in (2, 4):
        return tirx.call_llvm_pure_intrin(_typed("int32", lanes), name, a, b)
    wide = _typed("int64", lanes)
    product = a.astype(wide) * b.astype(wide) + _spread(1 << 30, lanes, "int64")
    return (product >> _spread(31, lanes, "int64")).astype(_typed("int32", lanes))


def _joined(elements: list[Any]) -> Any:
    """A word of loads that lie side by side as one load, of anything else by shifts."""
    lanes = _lanes(elements[0])
    if (start := _start(elements)) is not None:
        place = tirx.Ramp(start, 1, BYTES * lanes)
        load = tirx.BufferLoad(elements[0].source, [place])
        return tirx.reinterpret(_typed("int32", lanes), load)
    total = None
    for index, element in enumerate(elements):
        byte = element.astype(_typed("int32", lanes)) & _spread(255, lanes)
        part = byte << _spread(8 * index, lanes) if index else byte
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
        if any(not _is_number(place.stride, BYTES) for place in places):
            return None
        places = [place.base for place in places]
    analyzer = sym.Analyzer()
    steps = [analyzer.simplify(place - places[0]) for place in places]
    follow = all(_is_number(step, index) for index, step in enumerate(steps))
    return places[0] if follow else None


def _is_number(value: Any, number: int) -> bool:
    return isinstance(value, tirx.IntImm) and int(value) == number
