"""Thousands of broken models are read or refused: no crash, no hang, no other error."""

import subprocess
import sys
from pathlib import Path

import pytest

from penjing.compiler.onnx_import import resolve
from penjing.compiler.onnx_import.importer import import_onnx

from .fuzzing import VISITS, read_case
from .mutations import seeds

ROOT = Path(__file__).parents[2]
COUNT, PART = 4000, 500


def test_some_broken_models_are_read_or_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resolve, "MAX_VISITS", VISITS)
    models = seeds()
    results = [read_case(number, models, tmp_path) for number in range(60)]
    assert 0 < results.count("read") < len(results) / 2


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, COUNT, PART))
def test_thousands_of_broken_models_are_read_or_refused(first: int) -> None:
    command = [sys.executable, "-m", "tests.onnx.fuzzing", str(first), str(PART)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    counts = [int(line.split()[0]) for line in done.stdout.splitlines()]
    assert sum(counts) == PART


def test_the_models_to_break_are_whole() -> None:
    for model in seeds():
        import_onnx(model, None, None)
