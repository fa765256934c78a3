"""The C compiler that builds the library of a target: a system one, or zig's from PyPI."""

import importlib.util
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..targets.target import Target
from .errors import CompileError
from .library.elf import Elf

_MACHINES = {"x86_64": 62, "aarch64": 183, "arm": 40}  # ELF e_machine by architecture
_PROBE = "int penjing_probe(void);\nint penjing_probe(void)\n{\n    return 0;\n}\n"
_LAST_LINES = 15  # of a failing compiler's output

# Else atomics call a helper of libgcc that asks libc which instructions the CPU has.
_COMPILE_OPTIONS = {"aarch64": ("-mno-outline-atomics",)}
# Pages are 4 KB or 16 KB (Raspberry Pi 5, Android 15); GNU ld would pad files for 64 KB.
_LINK_OPTIONS = {"aarch64": ("-Wl,-z,max-page-size=16384",)}


@dataclass(frozen=True)
class Toolchain:
    """A C compiler and linker for one target.

    Args:
        command: The program and the arguments that select the target.
        static_command: The same for programs that need no shared library to run.
        version: The first line of what it says about itself.
        helpers: Linker argument for the compiler's own helper routines (64-bit division, ...).
        compile_options: What objects for this architecture need.
        link_options: What shared libraries for this architecture need.
    """

    command: tuple[str, ...]
    static_command: tuple[str, ...]
    version: str
    helpers: str
    compile_options: tuple[str, ...] = ()
    link_options: tuple[str, ...] = ()

    def run(self, arguments: Sequence[str], folder: Path, *, static: bool = False) -> None:
        """Run the compiler in `folder`; `static` makes programs that need no shared library.

        Raises:
            CompileError: It failed; with the end of what it printed.
        """
        command = self.static_command if static else self.command
        done = _run([*command, *arguments], folder)
        if done.returncode:
            lines = done.stderr.strip().splitlines()[-_LAST_LINES:]
            raise CompileError(
                "the C compiler failed on generated code",
                at=" ".join(command),
                got="\n       ".join(lines),
                fix="a bug in penjing, unless PENJING_CC names a compiler for another target",
            )


def find_toolchain(target: Target) -> Toolchain:
    """A working C compiler for `target`.

    In this order: `$PENJING_CC` (a command, may hold arguments), the system's own compiler if the
    target has its architecture, a GNU cross compiler, clang, zig. Each is tried on a small file.

    Raises:
        CompileError: There is none; it says what to install.
    """
    environment = (os.environ.get("PENJING_CC", ""), os.environ.get("PATH", ""))
    return _find(
        _architecture(target), target.triple, target.gnu_prefix, target.zig_target, environment
    )


@cache
def _find(
    architecture: str, triple: str, gnu_prefix: str, zig_target: str, environment: tuple[str, str]
) -> Toolchain:
    chosen = shlex.split(environment[0])
    candidates = (
        [chosen] if chosen else list(_candidates(architecture, triple, gnu_prefix, zig_target))
    )
    problems = []
    for command in candidates:
        problem = _try(command, _MACHINES[architecture])
        if not problem:
            return _describe(command, architecture)
        problems.append(f"{' '.join(command)}: {problem}")
    raise CompileError(
        f"no C compiler for {triple}",
        at="PENJING_CC" if chosen else "",
        got="; ".join(problems) or "none is installed",
        fix="correct or unset PENJING_CC" if chosen else _advice(gnu_prefix),
    )


def _architecture(target: Target) -> str:
    name = target.triple.partition("-")[0]
    name = "arm" if name.startswith("arm") else name
    if name not in _MACHINES:
        raise CompileError(
            f"no libraries can be built for {name}",
            at=target.name,
            got=target.triple,
            fix=f"use a target for one of {', '.join(_MACHINES)}",
        )
    return name


def _candidates(
    architecture: str, triple: str, gnu_prefix: str, zig_target: str
) -> Iterator[list[str]]:
    names = []
    if platform.system() == "Linux" and platform.machine().startswith(architecture):
        names += ["cc", "gcc"]
    if gnu_prefix:
        names.append(gnu_prefix + "gcc")
    yield from ([name] for name in names if shutil.which(name))
    if shutil.which("clang"):
        yield ["clang", f"--target={triple}", "-fuse-ld=lld"]
    if importlib.util.find_spec("ziglang"):
        yield [sys.executable, "-m", "ziglang", "cc", "-target", zig_target]
    elif shutil.which("zig"):
        yield ["zig", "cc", "-target", zig_target]


def _try(command: list[str], machine: int) -> str:
    """What is wrong with a compiler: nothing, if it links a library for the machine."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "probe.c").write_text(_PROBE)
        arguments = ["-shared", "-nostdlib", "-fPIC", "-o", "probe.so", "probe.c"]
        try:
            done = _run([*command, *arguments], folder)
        except OSError as error:
            return str(error)
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["failed without a message"])[-1]
        try:
            found = Elf((folder / "probe.so").read_bytes()).machine
        except ValueError as error:
            return str(error)
    return "" if found == machine else "it generates code for another architecture"


def _describe(command: list[str], architecture: str) -> Toolchain:
    done = _run([*command, "--version"], Path.cwd())
    version = (done.stdout.splitlines() or ["unknown"])[0]
    static, helpers = command, "-lgcc"
    if any("zig" in Path(word).name for word in command[:3]):
        # zig brings glibc only to link against; for static programs it has musl.
        static = [re.sub(r"-gnu(eabihf)?(\.[0-9.]+)?$", r"-musl\1", word) for word in command]
        version, helpers = f"zig cc, {version}", "-lcompiler_rt"
    return Toolchain(
        command=tuple(command),
        static_command=(*static, "-static"),
        version=version,
        helpers=helpers,
        compile_options=_COMPILE_OPTIONS.get(architecture, ()),
        link_options=_LINK_OPTIONS.get(architecture, ()),
    )


def _advice(gnu_prefix: str) -> str:
    package = f", or a GNU toolchain (Debian: gcc-{gnu_prefix[:-1]})" if gnu_prefix else ""
    return f"pip install ziglang{package}, or set PENJING_CC"


def _run(command: Sequence[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", check=False
    )
