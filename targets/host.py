"""The machine this runs on, described as a target.

The flags come from the kernel (/proc/cpuinfo), not from the CPU's model name: a virtual machine may
hide instructions that the model has.
"""

import platform
from dataclasses import replace
from functools import cache
from pathlib import Path

from .arm import ARM_GENERIC, ARMV8_2_FLAGS, ARMV8_FLAGS
from .target import Target
from .x86 import LEVEL_FLAGS, X86_TARGETS

_CPUINFO = Path("/proc/cpuinfo")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_SOURCE = "/proc/cpuinfo and /sys/devices/system/cpu/cpu0/cache of this machine"

# Instructions beyond the base that kernels use: Linux's name -> LLVM's.
_X86_EXTRAS = {"avx512_vnni": "+avx512vnni", "avx_vnni": "+avxvnni"}
_ARM_EXTRAS = {"asimddp": "+dotprod", "asimdhp": "+fullfp16", "i8mm": "+i8mm"}


class UnsupportedHost(ValueError):
    """penjing cannot generate code for the machine that it runs on."""


@cache
def host_target() -> Target:
    """This machine: its architecture, instructions and cache sizes.

    Raises:
        UnsupportedHost: It is no Linux machine, or none that penjing has kernels for.
    """
    return describe(platform.machine(), _own_flags(), cache_sizes(_CACHES))


def _own_flags() -> frozenset[str]:
    return cpu_flags(_CPUINFO.read_text()) if _CPUINFO.exists() else frozenset()


def describe(machine: str, flags: frozenset[str], caches: dict[int, int]) -> Target:
    """The target named "host" for an architecture, its Linux CPU flags and its caches.

    Args:
        machine: As `platform.machine()` gives it.
        flags: Features by the names of /proc/cpuinfo.
        caches: Bytes of the data caches by level; what is missing keeps the base target's size.

    Raises:
        UnsupportedHost: penjing cannot generate code for this machine.
    """
    if machine in ("x86_64", "AMD64"):
        base, extras = _x86_level(flags), _X86_EXTRAS
    elif machine in ("aarch64", "arm64"):
        base, extras = ARM_GENERIC, _ARM_EXTRAS
    else:
        raise UnsupportedHost(f"penjing has no host target for {machine}: name a target")
    more = tuple(llvm for linux, llvm in extras.items() if linux in flags)
    return replace(
        base,
        name="host",
        features=base.features + more,
        l1d_bytes=caches.get(1, base.l1d_bytes),
        l2_bytes=caches.get(2, base.l2_bytes),
        qemu="",
        qemu_cpu="",
        source=_SOURCE,
    )


def runs_here(target: Target) -> bool:
    """Whether this machine can execute a library compiled for `target` without an emulator."""
    return _has_architecture(target) and not missing_here(target)


def missing_here(target: Target) -> tuple[str, ...]:
    """The features that `target` needs and this CPU, of the same architecture, lacks."""
    if not _has_architecture(target):
        return ()
    return tuple(sorted(required_flags(target) - _own_flags()))


def _has_architecture(target: Target) -> bool:
    architecture = target.triple.partition("-")[0]
    return (platform.system(), platform.machine()) == ("Linux", architecture)


def required_flags(target: Target) -> frozenset[str]:
    """The features, by Linux's names, that code for an x86-64 or aarch64 target may use."""
    flags = LEVEL_FLAGS.get(target.llvm_cpu, ARMV8_FLAGS)
    if "+dotprod" in target.features:
        flags |= ARMV8_2_FLAGS
    extras = {llvm: linux for linux, llvm in {**_X86_EXTRAS, **_ARM_EXTRAS}.items()}
    return flags | {extras[feature] for feature in target.features if feature in extras}


def cpu_flags(cpuinfo: str) -> frozenset[str]:
    """The features that every CPU of /proc/cpuinfo has (big and little cores may differ)."""
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    flags = [set(value.split()) for key, _, value in lines if key.strip() in ("flags", "Features")]
    return frozenset(set.intersection(*flags)) if flags else frozenset()


def cache_sizes(folder: Path) -> dict[int, int]:
    """Bytes of the data or unified cache of each level, from sysfs."""
    sizes: dict[int, int] = {}
    for index in sorted(folder.glob("index*")):
        size = index / "size"
        if size.exists() and (index / "type").read_text().strip() != "Instruction":
            level = int((index / "level").read_text())
            sizes[level] = int(size.read_text().strip().removesuffix("K")) * 1024
    return sizes


def _x86_level(flags: frozenset[str]) -> Target:
    usable = [level for level in X86_TARGETS if LEVEL_FLAGS[level.llvm_cpu] <= flags]
    if not usable:
        raise UnsupportedHost("this CPU is older than x86-64-v2: name another target")
    return usable[-1]
