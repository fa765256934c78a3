"""Status codes of a compiled model as errors."""

from ..errors import CompileError
from ..library.header import STATUSES

MODEL_REFUSED = 16  # exit codes of the driver from here on are 16 + status
_MEANINGS = {code: (name, meaning) for name, code, meaning in STATUSES}


def refusal(model: str, status: int) -> CompileError:
    """The error for a nonzero status of MODEL_run."""
    name, meaning = _MEANINGS.get(status, (f"status {status}", "unknown"))
    return CompileError(f"{model}_run returned {name}", got=meaning)
