"""Sums and rescaled values of int8 tensors, four elements at a time.

clamp((a x + b y + c) >> k, low, high): a word holds four elements; SXTB16 widens two of them, and
SMLABB, SMLATB multiply one by a and add. SSAT shifts and clamps at once. Each result lies where its
operands lie or before, and is written after they are read.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..microcontrollers import Microcontroller
from .assembly import assembly_kernel
from .instructions import Repeat, executed
from .layer import Array, Layer, MicroKernel, NodeArguments, lowers_layer
from .statements import Pointer, call, function

_UNROLLED = 4  # words in a step of the loop
_CALL = 8  # instructions around a call


@lowers_layer("penjing.add_int8")
def add(node: NodeArguments, core: Microcontroller) -> list[Layer]:
    """Operands of one shape, both computed at run time."""
    if core.has_mve or len(node.inputs) != 2:
        return []
    x, y = node.inputs
    if x.shape != y.shape or (x.dtype, y.dtype) != ("int8", "int8"):
        return []
    values = node.values
    factors = (values["x_multiplier"] & 0xFFFF) | (values["y_multiplier"] << 16)
    return [_layer(node, core, ("x", "other"), factors)]


@lowers_layer("penjing.rescale_int8")
def rescale(node: NodeArguments, core: Microcontroller) -> list[Layer]:
    """One operand."""
    if core.has_mve or len(node.inputs) != 1 or abs(node.values["multiplier"]) >= 1 << 15:
        return []
    return [_layer(node, core, ("x",), node.values["multiplier"] & 0xFFFF)]


def _layer(node: NodeArguments, core: Microcontroller, names: Sequence[str], factors: int) -> Layer:
    limits = (node.values[name] for name in ("shift", "low", "high"))
    elements = _Elements(tuple(names), math.prod(node.output.shape), *limits)
    kernel, cost = elements.kernel(), executed(elements.code()) + _CALL
    operands = [Pointer(name, "int8") for name in names]
    constants, y = Pointer("constants", "int32"), Pointer("y", "int8")
    given = [*(operand.at() for operand in operands), constants.at(), y.at()]
    return Layer(
        function([*operands, constants, y], [call(kernel.name, *given)]),
        (_words(factors, node.values["offset"]),),
        (kernel,),
        leads=(0,) * len(operands),
        cost=cost if core.has_dsp else 3 * cost,
        variant="four elements at a time",
    )


def _words(factors: int, offset: int) -> Array:
    return (np.array([factors, offset]) & 0xFFFFFFFF).astype(np.uint32).view(np.int32)


@dataclass(frozen=True)
class _Elements:
    """The elements of a layer: (a x + b y + c) >> shift, kept in [low, high].

    Registers: pointers r0 to r3, factors r4, offset r5, steps to go r6, values from r7 on.
    """

    names: tuple[str, ...]  # of the operands
    count: int
    shift: int
    low: int
    high: int

    @property
    def operands(self) -> list[str]:
        """The registers of the pointers to them."""
        return [f"r{i}" for i in range(len(self.names))]

    @property
    def result(self) -> str:
        """The register of the pointer to it, behind that of the constants."""
        return f"r{len(self.names) + 1}"

    def kernel(self) -> MicroKernel:
        """void name(x, [other,] constants, y)."""
        whole = (self.low, self.high) == (-128, 127)
        limits = "" if whole else f"_{self.low}_{self.high}".replace("-", "m")
        which = "add" if len(self.names) == 2 else "rescale"
        pointers = [f"const int8_t *{name}" for name in self.names]
        return assembly_kernel(
            f"{which}_{self.count}_by_{self.shift}{limits}",
            f"{self.count} elements.",
            [*pointers, "const int32_t *constants", "int8_t *y"],
            self.code(),
            self._portable(),
        )

    def code(self) -> list[str | Repeat]:
        """The instructions."""
        words, rest = divmod(self.count, 4)
        steps, single = divmod(words, _UNROLLED)
        code: list[str | Repeat] = ["push {r4-r11}", f"ldrd r4, r5, [r{len(self.names)}]"]
        if steps:
            code.append(f"movw r6, #{steps & 0xFFFF}")
            code += [f"movt r6, #{steps >> 16}"] * (steps >> 16 > 0)
            lines = [line for i in range(_UNROLLED) for line in self._word(i)]
            lines += [f"add {p}, {p}, #{4 * _UNROLLED}" for p in (*self.operands, self.result)]
            code.append(Repeat(1, steps, (*lines, "subs r6, #1", "bne 1b")))
        for i in range(single):
            code += self._word(i)
        for i in range(rest):
            code += self._element(4 * single + i)
        return [*code, "pop {r4-r11}"]

    def _word(self, index: int) -> list[str]:
        """Four elements: words in r7 and r8, halves of them in r9 and r7, and in r10 and r8."""
        x, *other = self.operands
        lines = [f"ldr r7, [{x}, #{4 * index}]", "sxtb16 r9, r7", "sxtb16 r7, r7, ror #8"]
        for pointer in other:
            lines += [f"ldr r8, [{pointer}, #{4 * index}]"]
            lines += ["sxtb16 r10, r8", "sxtb16 r8, r8, ror #8"]
        for element in range(4):
            half = "bt"[element // 2]
            lines.append(f"smla{half}b r11, {('r9', 'r7')[element % 2]}, r4, r5")
            second = f"smla{half}t r11, {('r10', 'r8')[element % 2]}, r4, r11"
            lines += [second] * len(other)
            lines += self._store(4 * index + element)
        return lines

    def _element(self, index: int) -> list[str]:
        x, *other = self.operands
        lines = [f"ldrsb r7, [{x}, #{index}]", "smlabb r11, r7, r4, r5"]
        for pointer in other:
            lines += [f"ldrsb r8, [{pointer}, #{index}]", "smlabt r11, r8, r4, r11"]
        return [*lines, *self._store(index)]

    def _store(self, index: int) -> list[str]:
        lines = [f"ssat r11, #8, r11, asr #{self.shift}"]
        if self.low > -128:
            lines += [f"cmp r11, #{self.low}", "it lt", f"movlt r11, #{self.low}"]
        if self.high < 127:
            lines += [f"cmp r11, #{self.high}", "it gt", f"movgt r11, #{self.high}"]
        return [*lines, f"strb r11, [{self.result}, #{index}]"]

    def _portable(self) -> str:
        second = " + other[i] * of_other" if len(self.names) == 2 else ""
        declared = ["const int32_t of_other = constants[0] >> 16;"] * (second != "")
        lines = [
            "const int32_t of_x = (int16_t)(constants[0] & 0xffff);",
            *declared,
            f"for (int32_t i = 0; i < {self.count}; ++i) {{",
            f"    int32_t value = (x[i] * of_x{second} + constants[1]) >> {self.shift};",
            f"    value = value < {self.low} ? {self.low} : value;",
            f"    y[i] = (int8_t)(value > {self.high} ? {self.high} : value);",
            "}",
        ]
        return "\n".join(lines)
