"""Functions that kernels call: what TIR has as one operation and OpenCL C has not.

Each is made for the types that it is called with: `multiply_high_int4` of vectors of four.
"""

from collections.abc import Collection

from .number_functions import number_calls, number_functions
from .word_functions import word_calls, word_functions

HELPERS = {**word_functions(), **number_functions()}  # callees come first
_CALLED = {**word_calls(), **number_calls()}


def preamble(helpers: Collection[str], extensions: Collection[str] = ()) -> str:
    """What comes before kernels: extensions, then functions, what they call before them."""
    needed: set[str] = set()
    todo = list(helpers)
    while todo:
        name = todo.pop()
        if name not in needed:
            needed.add(name)
            todo += _CALLED.get(name, ())
    enabled = [f"#pragma OPENCL EXTENSION {name} : enable\n" for name in sorted(extensions)]
    functions = [text for name, text in HELPERS.items() if name in needed and text]
    return "\n".join(enabled + functions)
