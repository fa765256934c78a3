"""Text of micro-kernels in plain C."""

from collections.abc import Sequence
from textwrap import dedent, indent

from .instructions import definition
from .layer import MicroKernel

_STEP = "    "


def body_text(text: str) -> str:
    """Lines of C, moved to the inside of a function."""
    return indent(dedent(text).strip("\n"), _STEP)


def plain_kernel(name: str, comment: str, signature: str, body: str) -> MicroKernel:
    """A micro-kernel in C99 for all cores.

    Args:
        name: Of the function.
        comment: What it does, in a line.
        signature: "void name(const int8_t *x, ...)".
        body: In C.
    """
    text = f"/* {comment} */\nstatic inline {signature}\n{{\n{body_text(body)}\n}}\n"
    return MicroKernel(name, text)


def assembly_kernel(
    name: str, comment: str, parameters: Sequence[str], code: Sequence[str], body: str
) -> MicroKernel:
    """A micro-kernel in assembly (`instructions.definition`), with its portable body."""
    return MicroKernel(name, definition(comment, name, parameters, code, body_text(body)))
