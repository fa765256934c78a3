"""QEMU's user-mode emulators, which run programs of other CPUs."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from ...targets.host import missing_here
from ...targets.target import Target
from ..errors import CompileError

# The dynamic linker, by which a folder with the target's libc is known.
_LOADERS = {
    "aarch64": "lib/ld-linux-aarch64.so.1",
    "arm": "lib/ld-linux-armhf.so.3",
    "x86_64": "lib64/ld-linux-x86-64.so.2",
}


@dataclass(frozen=True)
class Emulator:
    """How to run a program of the target's CPU.

    Args:
        command: The emulator with its CPU and library options.
        has_libc: Whether it finds the target's libc, which dynamically linked programs need.
    """

    command: tuple[str, ...]
    has_libc: bool


def find_emulator(target: Target) -> Emulator:
    """The emulator of `target`.

    Raises:
        CompileError: No emulator runs this target, or it is not installed.
    """
    if not target.qemu:
        missing = missing_here(target)
        lacks = f"; this CPU lacks {', '.join(missing)}" if missing else ""
        raise CompileError(
            f"no emulator runs the instructions of {target.name}",
            got=", ".join((target.llvm_cpu, *target.features)) + lacks,
            fix="compile for a named target such as x86-64-v3 or arm-a72",
        )
    program = shutil.which(target.qemu)
    if program is None:
        raise CompileError(
            f"running {target.name} needs {target.qemu}",
            got="it is not installed",
            fix="install QEMU's user-mode emulators (Debian: apt install qemu-user)",
        )
    sysroot = _sysroot(target)
    libraries = () if sysroot is None else ("-L", str(sysroot))
    return Emulator((program, "-cpu", target.qemu_cpu or "max", *libraries), sysroot is not None)


def _sysroot(target: Target) -> Path | None:
    """A folder that holds the target's dynamic linker and libc."""
    architecture = target.triple.partition("-")[0]
    loader = _LOADERS["arm" if architecture.startswith("arm") else architecture]
    prefix = os.environ.get("QEMU_LD_PREFIX")
    named = [Path(prefix)] if prefix else []
    for folder in (*named, Path("/usr", target.gnu_prefix.rstrip("-")), Path("/")):
        if (folder / loader).exists():
            return folder
    return None
