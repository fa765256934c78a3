"""Status codes of a compiled model as errors."""

import re

from ..errors import CompileError
from ..library.header import STATUSES
from ..opencl_library.header import gpu_declarations

MODEL_REFUSED = 16  # exit codes of the driver from here on are 16 + status
_GPU_STATUS = re.compile(r"(PENJING_\w+) = (\d+),?[ ]*(?:/\* (.*?) \*/)?\n")


def _meanings() -> dict[int, tuple[str, str]]:
    """Status -> its name and meaning, as NAME.h has them."""
    enum = gpu_declarations().partition("};")[0]
    of_gpus = {int(code): (name, text) for name, code, text in _GPU_STATUS.findall(enum)}
    return {code: (name, text) for name, code, text in STATUSES} | of_gpus


def refusal(model: str, status: int, *, function: str = "run", message: str = "") -> CompileError:
    """The error for a nonzero status of MODEL_run or another function of NAME.h.

    Args:
        model: Its name.
        status: What the function returned.
        function: Its name after that of the model.
        message: What MODEL_message says, if it says more.
    """
    name, meaning = _meanings().get(status, (f"status {status}", "unknown"))
    return CompileError(f"{model}_{function} returned {name}", got=message or meaning)
