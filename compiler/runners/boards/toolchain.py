"""The C compiler that builds programs for a Cortex-M core: gcc, clang or zig."""

import importlib.util
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from ....targets.microcontrollers import Microcontroller
from ...errors import CompileError
from ...library.elf import Elf
from ...toolchain import Toolchain

_ARM = 40  # ELF e_machine
_PROBE = """\
long long probe(long long a, long long b);
long long probe(long long a, long long b)
{
    return a * b >> 31;
}
"""
_ADVICE = (
    "install Arm's GNU toolchain (Debian: gcc-arm-none-eabi) or pip install ziglang,"
    " or set PENJING_CC"
)


def find_board_toolchain(core: Microcontroller) -> Toolchain:
    """A C compiler for programs on `core` that need no libc.

    In this order: `$PENJING_CC` (a command, may hold arguments; the core's flags are added if it
    takes them), arm-none-eabi-gcc, clang, zig. Each is tried on a small file.

    Raises:
        CompileError: There is none; it says which were tried and what to install.
    """
    return _find(core, (os.environ.get("PENJING_CC", ""), os.environ.get("PATH", "")))


def toolchains(core: Microcontroller) -> list[Toolchain]:
    """Every compiler on this machine that works for `core`, the preferred one first."""
    return [_describe(command) for command in _candidates(core) if not _problem(command)]


@cache
def _find(core: Microcontroller, environment: tuple[str, str]) -> Toolchain:
    chosen = shlex.split(environment[0])
    named = [[*chosen, *core.gcc_flags], chosen] if chosen else []
    candidates = named or list(_candidates(core))
    problems = []
    for command in candidates:
        problem = _problem(command)
        if not problem:
            return _describe(command)
        problems.append(f"{' '.join(command)}: {problem}")
    raise CompileError(
        f"no C compiler for {core.name}",
        at="PENJING_CC" if chosen else "",
        got="; ".join(problems) or "none is installed",
        fix="correct or unset PENJING_CC" if chosen else _ADVICE,
    )


def _candidates(core: Microcontroller) -> Iterator[list[str]]:
    gcc = f"{core.gnu_prefix}gcc"
    if shutil.which(gcc):
        yield [gcc, *core.gcc_flags]
    if shutil.which("clang") and shutil.which("ld.lld"):
        yield ["clang", f"--target={core.triple}", *core.gcc_flags, "-fuse-ld=lld"]
    zig = ["cc", "-target", core.zig_target, _zig_cpu(core), "-fno-sanitize=undefined"]
    if importlib.util.find_spec("ziglang"):
        yield [sys.executable, "-m", "ziglang", *zig]
    elif shutil.which("zig"):
        yield ["zig", *zig]


def _zig_cpu(core: Microcontroller) -> str:
    """The core with the extensions that zig leaves out because some chips lack them."""
    floats = {"-mfpu=fpv4-sp-d16": "+vfp4d16sp", "-mfpu=fpv5-sp-d16": "+fp_armv8d16sp"}
    extensions = [floats[flag] for flag in core.gcc_flags if flag in floats]
    extensions += ["+dsp"] * core.has_dsp + ["+mve_fp"] * core.has_mve
    return f"-mcpu={core.llvm_cpu.replace('-', '_')}{''.join(extensions)}"


def _problem(command: list[str]) -> str:
    """What is wrong with a compiler: nothing, if it links a program for ARM."""
    with tempfile.TemporaryDirectory(prefix="penjing-probe-") as name:
        folder = Path(name)
        (folder / "probe.c").write_text(_PROBE)
        arguments = ["-nostdlib", "-ffreestanding", "-Wl,-e,probe", "probe.c", "-o", "probe.elf"]
        try:
            done = subprocess.run(
                [*command, *arguments, *_helpers(command)],
                cwd=folder,
                capture_output=True,
                text=True,
                errors="replace",
                check=False,
            )
        except OSError as error:
            return str(error)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["failed without a message"])[-1]
        machine = Elf((folder / "probe.elf").read_bytes()).machine
    return "" if machine == _ARM else "it generates code for another architecture"


def _helpers(command: list[str]) -> list[str]:
    """What links the compiler's own routines (64-bit multiplication, ...)."""
    words = [Path(word).name for word in command[:3]]
    if any("zig" in word for word in words):
        return ["-rtlib=compiler-rt"]
    return ["-lgcc"] if any(word.endswith("gcc") for word in words) else []


def _describe(command: list[str]) -> Toolchain:
    done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=False)
    helpers = _helpers(command)
    return Toolchain(
        command=tuple(command),
        static_command=tuple(command),
        version=(done.stdout.splitlines() or ["unknown"])[0],
        helpers=helpers[0] if helpers else "",
    )
