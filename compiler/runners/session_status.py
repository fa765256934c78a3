"""Status codes of a model for a GPU as errors."""

import re

from ..errors import CompileError
from ..opencl_library.header import gpu_declarations
from .status import refusal

_ROW = re.compile(r"(PENJING_\w+) = (\d+),?\s*/\* (.*?) \*/", re.DOTALL)


def session_refusal(function: str, status: int, message: str) -> CompileError:
    """The error for a nonzero status of a function of NAME.h."""
    for name, code, meaning in _ROW.findall(gpu_declarations()):
        if int(code) == status:
            return CompileError(f"{function} returned {name}", got=message or meaning)
    return refusal(function.rpartition("_")[0], status)
