"""A library for a GPU finds out whether the CPU can run its fallback."""

import shutil
import subprocess
from pathlib import Path

import pytest

from penjing import targets
from penjing.compiler.opencl_library.cpu_check import emit_cpu_check
from penjing.compiler.toolchain import find_toolchain
from penjing.targets.host import missing_here, required_flags

_MAIN = "\nint main(void)\n{\n    return cpu_supported();\n}\n"
_GPU_CPUS = [name for name in targets.names() if "x86" in name or name.startswith("arm-")]


def build(name: str, folder: Path, *, static: bool) -> Path:
    """A program whose exit code says whether the CPU that runs it supports code for a target."""
    target = targets.get(name)
    (folder / "check.c").write_text(emit_cpu_check(target) + _MAIN)
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-o", "check", "check.c"]
    find_toolchain(target).run(flags, folder, static=static)
    return folder / "check"


@pytest.mark.parametrize("name", ["x86-64-v2", "x86-64-v3", "x86-64-v4"])
def test_it_agrees_with_linux(name: str, tmp_path: Path) -> None:
    target = targets.get(name)
    if not target.triple.startswith(targets.get("host").triple.partition("-")[0]):
        pytest.skip("needs an x86-64 CPU")
    done = subprocess.run([build(name, tmp_path, static=False)], check=False)
    assert done.returncode == int(not missing_here(target))


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("name", "cpu", "supported"),
    [
        ("arm-generic", "cortex-a53", 1),
        ("arm-a76", "cortex-a53", 0),
        ("arm-a76", "cortex-a76", 1),
    ],
)
def test_it_finds_what_an_arm_core_lacks(
    name: str, cpu: str, supported: int, tmp_path: Path
) -> None:
    emulator = shutil.which("qemu-aarch64")
    assert emulator is not None
    command = [emulator, "-cpu", cpu, str(build(name, tmp_path, static=True))]
    assert subprocess.run(command, check=False).returncode == supported


@pytest.mark.parametrize("name", _GPU_CPUS)
def test_every_feature_has_a_test(name: str) -> None:
    text = emit_cpu_check(targets.get(name))
    assert required_flags(targets.get(name))
    assert "return has_bits(" in text
