"""Straight pieces and loops of Thumb-2 instructions: their text, and how many a run executes.

Functions that are all assembly keep every register for themselves. They save what C wants back, so
they compile at any level of optimization, and the number of executed instructions is known.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

IS_DSP = "defined(__ARM_FEATURE_DSP) && __ARM_ARCH_PROFILE == 'M'"
_MOST_IMMEDIATE = 4095  # of ADDW, SUBW


@dataclass(frozen=True)
class Repeat:
    """Instructions that run `count` times; the last of them branch back.

    Attributes:
        label: A digit, other than those of loops around it.
        count: At least one.
        body: What is repeated, with the branch.
    """

    label: int
    count: int
    body: tuple["str | Repeat | Copies", ...]

    def lines(self) -> Iterable[str]:
        """For the assembler."""
        yield f"{self.label}:"
        yield from text_lines(self.body)


@dataclass(frozen=True)
class Copies:
    """Instructions that the assembler writes `count` times, one after the other."""

    count: int
    body: tuple[str, ...]

    def lines(self) -> Iterable[str]:
        """For the assembler."""
        if self.count > 1:
            yield f".rept {self.count}"
        if self.count > 0:
            yield from self.body
        if self.count > 1:
            yield ".endr"


Code = Sequence[str | Repeat | Copies]


def text_lines(code: Code) -> Iterable[str]:
    """The lines of the assembler."""
    for item in code:
        if isinstance(item, str):
            yield item
        else:
            yield from item.lines()


def executed(code: Code) -> int:
    """Instructions that run."""
    return sum(1 if isinstance(item, str) else item.count * executed(item.body) for item in code)


def add(target: str, source: str, amount: int, free: str) -> list[str]:
    """target = source + amount; `free` is a register for large amounts, and may be `target`."""
    if amount == 0 and target == source:
        return []
    if abs(amount) <= _MOST_IMMEDIATE:
        return [f"{'add' if amount >= 0 else 'sub'} {target}, {source}, #{abs(amount)}"]
    if free == source:
        raise ValueError(f"{free} cannot hold both {amount} and what it is added to")
    high = [f"movt {free}, #{amount >> 16 & 0xFFFF}"] * (not 0 <= amount < 1 << 16)
    return [f"movw {free}, #{amount & 0xFFFF}", *high, f"add {target}, {source}, {free}"]


def definition(
    comment: str,
    name: str,
    parameters: Sequence[str],
    code: Code,
    portable: str,
    *,
    condition: str = IS_DSP,
    clobbers: Sequence[str] = (),
) -> str:
    """The C text of a function of at most four parameters, which r0 to r3 hold.

    Args:
        comment: What it does.
        name: Of the function.
        parameters: "const int16_t *x", ...
        code: Instructions that save and restore r4 to r11 and lr if they change them.
        portable: The body for other cores.
        condition: Of the preprocessor, for cores that have the instructions.
        clobbers: Other registers that are not restored: "q0".
    """
    names = [parameter.split()[-1].lstrip("*") for parameter in parameters]
    moves = [
        f'    register {parameter.removesuffix(own)}r{i} __asm__("r{i}") = {own};'
        for i, (parameter, own) in enumerate(zip(parameters, names, strict=True))
    ]
    operands = ", ".join(f'"+r"(r{i})' for i in range(len(names)))
    clobbered = [f'"r{i}"' for i in range(len(names), 4)] + ['"r12"', '"cc"', '"memory"']
    clobbered += [f'"{name}"' for name in clobbers]
    signature = _signature(name, parameters)
    lines = [
        f"/* {comment} */",
        f"#if {condition}",
        "__attribute__((noinline))",
        f"static void {signature}",
        "{",
        *moves,
        "    __asm__ volatile(",
        *(f'        "{line}\\n"' for line in text_lines(code)),
        f"        : {operands}",
        "        :",
        f"        : {', '.join(clobbered)});",
        "}",
        "#else",
        "#if defined(__GNUC__) /* inner loops need all registers */",
        "__attribute__((noinline))",
        "#endif",
        f"static void {signature}",
        "{",
        portable.strip("\n"),
        "}",
        "#endif",
    ]
    return "\n".join(lines) + "\n"


def _signature(name: str, parameters: Sequence[str]) -> str:
    """Name and parameters, in as many lines as they need."""
    whole = f"{name}({', '.join(parameters)})"
    if len(whole) <= 90:
        return whole
    return f"{name}(\n    {', '.join(parameters)})"
