"""Checks that a program is well formed."""

from .program import Program


def verify(program: Program) -> None:
    program.graph.lint()
