"""x86-64 by the levels of the System V psABI, so that a library says what it needs.

The psABI defines instructions, not caches: the sizes are those of the first Intel server cores of
each level, the smallest in use, from the Intel 64 and IA-32 Optimization Reference Manual.

Emulation: QEMU has AVX2 and FMA since 7.2, AVX-512 not at all.
"""

from dataclasses import replace

from .target import KiB, MiB, Target

# CPU flags that each level adds, as Linux names them in /proc/cpuinfo (psABI 1.0, table 3.1).
_V2 = frozenset({"cx16", "lahf_lm", "popcnt", "pni", "ssse3", "sse4_1", "sse4_2"})
_V3 = _V2 | {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"}
_V4 = _V3 | {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"}
LEVEL_FLAGS = {"x86-64-v2": _V2, "x86-64-v3": _V3, "x86-64-v4": _V4}

X86_64_V2 = Target(
    name="x86-64-v2",
    triple="x86_64-linux-gnu",
    llvm_cpu="x86-64-v2",
    simd_bits=128,
    simd_registers=16,
    l1d_bytes=32 * KiB,
    l2_bytes=256 * KiB,
    qemu="qemu-x86_64",
    qemu_cpu="max",
    gnu_prefix="x86_64-linux-gnu-",
    zig_target="x86_64-linux-gnu.2.17",
    source="x86-64 psABI 1.0, 3.1.1: SSE4.2, 16 xmm registers; caches as on Nehalem",
)

X86_64_V3 = replace(
    X86_64_V2,
    name="x86-64-v3",
    llvm_cpu="x86-64-v3",
    simd_bits=256,
    source="x86-64 psABI 1.0, 3.1.1: AVX2 and FMA, 16 ymm registers; caches as on Haswell",
)

X86_64_V4 = replace(
    X86_64_V2,
    name="x86-64-v4",
    llvm_cpu="x86-64-v4",
    simd_bits=512,
    simd_registers=32,
    l2_bytes=1 * MiB,
    qemu="",
    qemu_cpu="",
    source="x86-64 psABI 1.0, 3.1.1: AVX-512 F, BW, CD, DQ, VL, 32 zmm registers;"
    " caches as on Skylake-SP",
)

X86_TARGETS = (X86_64_V2, X86_64_V3, X86_64_V4)
