"""The examples for microcontrollers run as their users would run them."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def _run(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.qemu
def test_keyword_spotting(tmp_path: Path) -> None:
    printed = _run(tmp_path, sys.executable, str(EXAMPLES / "keyword_spotting.py"))
    real, board = (float(text) for text in re.findall(r"accuracy (\S+)", printed))
    assert real > 0.95
    assert board > real - 0.03
    agreement = re.search(r"same word for (\d+) of (\d+)", printed)
    assert agreement is not None
    assert int(agreement[1]) >= 0.95 * int(agreement[2])
    count = re.search(r"([\d,]+) instructions for each word", printed)
    assert count is not None
    assert int(count[1].replace(",", "")) < 3_900_000
    assert (tmp_path / "build" / "keyword_spotting" / "CMakeLists.txt").exists()


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("target", ["cortex-m4,flash=64KB,ram=16KB", "cortex-m0plus", "cortex-m55"])
def test_micro_project(target: str, tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    work = tmp_path / "project"
    shutil.copytree(EXAMPLES / "micro_project", work, ignore=shutil.ignore_patterns("build"))
    _run(work, sys.executable, "compile_model.py", "--target", target)
    application = f"-DAPPLICATION={work / 'main.c'}"
    built = _run(work, "cmake", "-S", "build", "-B", "build/cmake", application)
    built += _run(work, "cmake", "--build", "build/cmake", "--target", "run")
    assert "still -> still\nshake -> shake\ncircle -> circle\n" in built
    assert "warning" not in built
