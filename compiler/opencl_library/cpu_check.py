"""The test whether a CPU can run the fallback, in C."""

from collections.abc import Iterable
from pathlib import Path

from ...targets.host import required_flags
from ...targets.target import Target

_EAX, _EBX, _ECX = range(3)
# Linux's name -> (leaf, subleaf, register, bit) of CPUID (Intel SDM, volume 2A, CPUID).
_CPUID = {
    "pni": (1, 0, _ECX, 0),
    "ssse3": (1, 0, _ECX, 9),
    "fma": (1, 0, _ECX, 12),
    "cx16": (1, 0, _ECX, 13),
    "sse4_1": (1, 0, _ECX, 19),
    "sse4_2": (1, 0, _ECX, 20),
    "movbe": (1, 0, _ECX, 22),
    "popcnt": (1, 0, _ECX, 23),
    "xsave": (1, 0, _ECX, 26),
    "avx": (1, 0, _ECX, 28),
    "f16c": (1, 0, _ECX, 29),
    "bmi1": (7, 0, _EBX, 3),
    "avx2": (7, 0, _EBX, 5),
    "bmi2": (7, 0, _EBX, 8),
    "avx512f": (7, 0, _EBX, 16),
    "avx512dq": (7, 0, _EBX, 17),
    "avx512cd": (7, 0, _EBX, 28),
    "avx512bw": (7, 0, _EBX, 30),
    "avx512vl": (7, 0, _EBX, 31),
    "avx512_vnni": (7, 0, _ECX, 11),
    "avx_vnni": (7, 1, _EAX, 4),
    "lahf_lm": (0x80000001, 0, _ECX, 0),
    "abm": (0x80000001, 0, _ECX, 5),
}
# Linux's name -> (entry of the auxiliary vector, bit): AT_HWCAP and AT_HWCAP2 of arm64.
_HWCAP = {
    "fp": (16, 0),
    "asimd": (16, 1),
    "atomics": (16, 8),
    "fphp": (16, 9),
    "asimdhp": (16, 10),
    "asimdrdm": (16, 12),
    "lrcpc": (16, 15),
    "asimddp": (16, 20),
    "i8mm": (26, 13),
}
_YMM, _ZMM = 0x6, 0xE6  # what XCR0 says is kept

_CHECK = """\
static int cpu_supported(void)
{{
    return {tests};
}}
"""
_SOURCE = Path(__file__).with_suffix(".c")


def emit_cpu_check(cpu: Target) -> str:
    """The static function `cpu_supported`: 1 where the CPU has what code for `cpu` may use."""
    flags = required_flags(cpu)
    if cpu.triple.startswith("x86_64"):
        tests = [f"has_bits({', '.join(row)})" for row in _masks(_CPUID[flag] for flag in flags)]
        kept = _ZMM if "avx512f" in flags else _YMM if "avx" in flags else 0
        tests.append(f"keeps_bits({kept:#x})")
    else:
        tests = [f"has_bits({', '.join(row)})" for row in _masks(_HWCAP[flag] for flag in flags)]
    return _SOURCE.read_text() + "\n" + _CHECK.format(tests=" &&\n           ".join(tests))


def _masks(places: Iterable[tuple[int, ...]]) -> list[tuple[str, ...]]:
    """Arguments for each word that has some of the bits: where it is, and those bits."""
    masks: dict[tuple[int, ...], int] = {}
    for *word, bit in sorted(places):
        masks[tuple(word)] = masks.get(tuple(word), 0) | 1 << bit
    return [(*map(hex, word), f"{mask:#x}") for word, mask in masks.items()]
