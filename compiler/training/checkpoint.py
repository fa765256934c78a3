"""The state of training in a file, replaced in one step so that it is whole at any time."""

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from ..errors import CompileError
from ..ir.program import Program
from .options import TrainingOptions

_FORMAT = 1
_FREE = ("checkpoint", "checkpoint_every", "device")  # options that leave the result as it is


def describe_run(program: Program, options: TrainingOptions) -> str:
    """What a checkpoint belongs to, one fact a line: the program's beginning and the options."""
    digest = sha256(str(program).encode())
    for name, weight in sorted(program.weights.items()):
        digest.update(name.encode())
        digest.update(weight.detach().flatten().view(torch.uint8).numpy().data)
    names = [name for name in TrainingOptions.__dataclass_fields__ if name not in _FREE]
    lines = [f"{name}={getattr(options, name)}" for name in names]
    return "\n".join([f"program {digest.hexdigest()}", *lines])


def save_checkpoint(path: Path, run: str, state: dict[str, Any]) -> None:
    """Write `state`, tensors and plain data, of the run that the text `run` describes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.unfinished")
    torch.save({"format": _FORMAT, "run": run, "state": state}, unfinished)
    os.replace(unfinished, path)


def load_checkpoint(path: Path, run: str) -> dict[str, Any] | None:
    """The state at `path`; None where there is no file.

    Raises:
        CompileError: It is no checkpoint, or one of another run.
    """
    if not path.exists():
        return None
    try:
        content = torch.load(path, weights_only=True, map_location="cpu")
        found = content["run"] if content["format"] == _FORMAT else None
    except Exception as error:  # whatever reading an arbitrary file may raise
        raise CompileError("cannot read a checkpoint", at=str(path), got=str(error)) from error
    if found != run:
        raise CompileError(
            "the checkpoint is of another program, other options or other data",
            at=str(path),
            got=_first_difference(str(found), run),
            fix="delete the file or choose another one",
        )
    state: dict[str, Any] = content["state"]
    return state


def _first_difference(found: str, wanted: str) -> str:
    for left, right in zip(found.splitlines(), wanted.splitlines(), strict=False):
        if left != right:
            return f"{left} instead of {right}"
    return "another number of weights"
