"""The project around a model builds and runs as its README says."""

import shutil
import subprocess
from pathlib import Path

import pytest

from penjing.compiler.runners.boards.project import project_files
from penjing.targets.microcontrollers import CORES, Microcontroller

_HEADER = """
#include <stddef.h>
#include <stdint.h>
#define PENJING_OK 0
#define SUM_ARENA_ALIGN 8u
#define SUM_ARENA_BYTES 0u
#define SUM_INPUT0_BYTES 4u
#define SUM_INPUT1_BYTES 4u
#define SUM_OUTPUT0_BYTES 4u
int sum_run(const void *const *inputs, void *const *outputs, void *arena, size_t arena_bytes);
"""
_SOURCE = """
#include "sum.h"
#include <string.h>
int sum_run(const void *const *inputs, void *const *outputs, void *arena, size_t arena_bytes)
{
    const int8_t *a = inputs[0], *b = inputs[1];
    int8_t *y = outputs[0];
    (void)arena, (void)arena_bytes;
    memset(y, STATUS, 4);
    for (int i = 0; i < 4; i++)
        y[i] = (int8_t)(a[i] + b[i] - i);
    return STATUS;
}
"""


def _write(folder: Path, core: Microcontroller, status: int) -> None:
    files = project_files("sum", core, sources=["sum.c"], inputs=2, outputs=1)
    source = _SOURCE.replace("STATUS", str(status))
    for path, text in {**files, "sum.h": _HEADER, "sum.c": source}.items():
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_text(text)


def _run(folder: Path) -> "subprocess.CompletedProcess[str]":
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    configure = ["cmake", "-B", "build"]
    done = subprocess.run(configure, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    build = ["cmake", "--build", "build", "--target", "run"]
    return subprocess.run(build, cwd=folder, capture_output=True, text=True)


@pytest.mark.qemu
@pytest.mark.parametrize("core", [CORES[0], CORES[2], CORES[5]], ids=lambda core: core.name)
def test_the_project_builds_without_warnings_and_runs(
    core: Microcontroller, tmp_path: Path
) -> None:
    _write(tmp_path, core, status=0)
    done = _run(tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "output: 0 -1 -2 -3\n" in done.stdout + done.stderr
    assert "warning" not in done.stdout + done.stderr
    assert core.name in (tmp_path / "README.md").read_text()


@pytest.mark.qemu
def test_a_refusal_is_printed_and_fails(tmp_path: Path) -> None:
    _write(tmp_path, CORES[2], status=4)
    done = _run(tmp_path)
    assert done.returncode != 0
    assert "sum_run: status 4, see sum.h" in done.stdout + done.stderr
