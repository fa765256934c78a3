"""Reads mutated models; run as a program, so that a crash of the interpreter is seen.

    python -m tests.onnx.fuzzing FIRST COUNT

Case n is always the same model. Exit code 0: all were read, or refused with a `CompileError`.
"""

import random
import resource
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path
from types import FrameType

import onnx
import torch

import penjing
from penjing import CompileError
from penjing.compiler.onnx_import import resolve
from penjing.compiler.onnx_import.importer import import_onnx

from .mutations import mutated_bytes, mutated_model, seeds

SECONDS_PER_CASE = 60
TRACED = 16  # one of so many cases is not only imported
VISITS = 2000  # a loop without an end takes ten times as long with the limit of users
MEMORY_BYTES = 24 << 30


def read_case(number: int, models: list[onnx.ModelProto], folder: Path) -> str:
    """Read one broken model; "read" or the first words of the error."""
    draw = random.Random(number)
    model, path = models[number % len(models)], folder / "model.onnx"
    if draw.random() < 0.25:
        path.write_bytes(mutated_bytes(model.SerializeToString(), draw))
    else:
        path.write_bytes(mutated_model(model, draw).SerializeToString())
    try:
        imported = import_onnx(path, None, None)
        with torch.no_grad():
            imported.module(*imported.inputs)
        if number % TRACED == 0:
            penjing.trace(path)
    except CompileError as error:
        return error.got if "did not expect" in error.what else error.what
    return "read"


def main(first: int, count: int) -> None:
    """Read `count` cases from number `first` on; says which one it is at before each."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGALRM, _too_slow)
    resolve.MAX_VISITS = VISITS
    models, found = seeds(), Counter[str]()
    import_onnx(models[0], None, None)  # what PyTorch imports late takes its time
    with tempfile.TemporaryDirectory() as folder:
        for number in range(first, first + count):
            sys.stderr.write(f"case {number}\n")
            signal.alarm(SECONDS_PER_CASE)
            found[read_case(number, models, Path(folder))] += 1
            signal.alarm(0)
    for what, times in found.most_common():
        sys.stdout.write(f"{times} {what}\n")


def _too_slow(number: int, frame: FrameType | None) -> None:
    raise SystemExit(f"a case took more than {SECONDS_PER_CASE} s")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
