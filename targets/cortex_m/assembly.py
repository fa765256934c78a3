"""Text of micro-kernels in plain C."""

from collections.abc import Sequence
from textwrap import dedent, indent
from typing import Any

from .instructions import Code, definition
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
    name: str, comment: str, parameters: Sequence[str], code: Code, body: str, **options: Any
) -> MicroKernel:
    """A micro-kernel in assembly, with its portable body.

    Args:
        name: Of the function.
        comment: What it does, in a line.
        parameters: As for `instructions.definition`.
        code: Likewise.
        body: In C.
        options: Of `instructions.definition`.
    """
    text = definition(comment, name, parameters, code, body_text(body), **options)
    return MicroKernel(name, text)
