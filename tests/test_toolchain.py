"""Finding a C compiler for a target."""

import importlib.util
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from penjing import targets
from penjing.compiler import toolchain
from penjing.compiler.errors import CompileError
from penjing.compiler.library.elf import Elf

from .hand_written import assert_matches, example_input, make_artifact

needs_zig = pytest.mark.skipif(
    importlib.util.find_spec("ziglang") is None, reason="ziglang is not installed"
)


@pytest.fixture
def no_compilers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A PATH without any program."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("PENJING_CC", raising=False)


def test_the_environment_variable_may_hold_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_CC", f"{shutil.which('gcc')} -O3 '-DWITH SPACE'")
    found = toolchain.find_toolchain(targets.get("host"))
    assert found.command[1:] == ("-O3", "-DWITH SPACE")


def test_a_compiler_for_another_architecture_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_CC", "gcc")
    with pytest.raises(CompileError, match="no C compiler for aarch64-linux-gnu") as raised:
        toolchain.find_toolchain(targets.get("arm-a72"))
    assert "another architecture" in raised.value.got
    assert raised.value.fix == "correct or unset PENJING_CC"


def test_a_missing_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENJING_CC", "/no/such/compiler")
    with pytest.raises(CompileError, match="/no/such/compiler"):
        toolchain.find_toolchain(targets.get("host"))


@pytest.mark.usefixtures("no_compilers")
def test_nothing_installed_tells_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CompileError) as raised:
        toolchain.find_toolchain(targets.get("armv7-a9"))
    assert raised.value.got == "none is installed"
    assert "pip install ziglang" in raised.value.fix
    assert "gcc-arm-linux-gnueabihf" in raised.value.fix


def test_a_broken_compiler_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    gcc = Path(str(shutil.which("gcc"))).resolve()
    monkeypatch.setenv("PATH", f"{tmp_path}:{gcc.parent}")
    for name in ("cc", "gcc"):
        (tmp_path / name).write_text(f"#!{sys.executable}\nraise SystemExit('out of order')\n")
        (tmp_path / name).chmod(0o755)
    (tmp_path / "cross-gcc").symlink_to(gcc)
    found = toolchain.find_toolchain(replace(targets.get("host"), gnu_prefix="cross-"))
    assert found.command == ("cross-gcc",)


@needs_zig
@pytest.mark.slow
@pytest.mark.parametrize("target", ["host", "arm-a72", "armv7-a9"])
@pytest.mark.parametrize("threads", [1, 2])
def test_zig_alone_is_enough(monkeypatch: pytest.MonkeyPatch, target: str, threads: int) -> None:
    """It builds every kind of library; for 32-bit ARM with its own division routines."""
    device = targets.get(target)
    zig = f"{sys.executable} -m ziglang cc -target {device.zig_target}"
    monkeypatch.setenv("PENJING_CC", zig)
    artifact = make_artifact(target, threads=threads)
    library = Elf((artifact.folder / "libmodel.so").read_bytes())
    assert library.undefined() <= {"memcpy"} or threads > 1
    if target == "host":
        x = example_input()
        assert_matches(artifact.run(x), x)
