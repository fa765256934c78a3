"""What compilers for the cores make of the C files: symbols, variables, instructions."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import penjing
from penjing.compiler.ir.program import Program
from penjing.compiler.runners.boards.board import SUPPORT
from penjing.targets.microcontrollers import CORES, Microcontroller

from .host_models import STRICT, quantized
from .test_c_sources import Residual

_FLOAT = re.compile(r"\.f(16|32|64)\b|__aeabi_[fd]")
_VECTOR = re.compile(r"^v\w+")


@pytest.fixture(scope="module")
def program() -> Program:
    torch.manual_seed(0)
    return quantized(Residual(), torch.randn(1, 3, 9, 10))


@pytest.mark.qemu
@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_int8_models_are_code_and_constants_only(
    core: Microcontroller, program: Program, tmp_path: Path
) -> None:
    artifact = penjing.compile(program, target=core, name="net", certify=False)
    artifact.save(tmp_path)
    assert "<math.h>" not in (tmp_path / "net_kernels.h").read_text()
    flags = [*core.gcc_flags, *STRICT, "-isystem", str(SUPPORT)]  # a <string.h> without newlib
    gcc = ["arm-none-eabi-gcc", *flags]
    subprocess.run([*gcc, "-O2", "-c", "net.c", "net_weights.c"], cwd=tmp_path, check=True)
    if shutil.which("clang"):
        clang = ["clang", f"--target={core.triple}", *flags]
        subprocess.run([*clang, "-O2", "-c", "net.c", "-o", "clang.o"], cwd=tmp_path, check=True)
    link = ["arm-none-eabi-ld", "-r", "net.o", "net_weights.o", "-o", "all.o"]
    subprocess.run(link, cwd=tmp_path, check=True)
    undefined = _output(tmp_path, "arm-none-eabi-nm", "-u", "all.o").split()
    assert set(undefined) - {"U"} <= {"memcpy", "memset"}
    sizes = _output(tmp_path, "arm-none-eabi-size", "all.o").splitlines()[1].split()
    assert sizes[1:3] == ["0", "0"], "variables"
    lines = _output(tmp_path, "arm-none-eabi-objdump", "-d", "all.o").splitlines()
    instructions = [line.split("\t")[2:] for line in lines if line.count("\t") >= 2]
    assert len(instructions) > 100
    for words in instructions:
        assert not _FLOAT.search(" ".join(words))
        assert core.has_mve or not _VECTOR.match(words[0]), words


def _output(folder: Path, *command: str) -> str:
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout
