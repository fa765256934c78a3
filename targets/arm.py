"""ARM CPUs with NEON, 64 and 32 bits wide.

Where a core's caches are configurable, the numbers are those of a widely used chip, named in
`source`; a library runs correctly whatever the real size is.

Emulation: QEMU 7.2 models no A55, A78 or X1. They run as cortex-a76, the nearest older core with
the same vector extensions (Armv8.2-A, dot product, half precision), so an instruction that is too
new for them is caught.
"""

from dataclasses import replace

from .target import KiB, MiB, Target

# What the cores have by Linux's names (HWCAP): Armv8.0-A, and on top of it the Armv8.2-A cores.
ARMV8_FLAGS = frozenset({"fp", "asimd"})
ARMV8_2_FLAGS = frozenset({"asimddp", "asimdhp", "asimdrdm", "atomics", "fphp", "lrcpc"})

# Armv8-A: 32 vector registers of 128 bits (Arm ARM DDI 0487, B1.2.1).
ARM_GENERIC = Target(
    name="arm-generic",
    triple="aarch64-linux-gnu",
    llvm_cpu="generic",
    features=("+neon",),
    simd_bits=128,
    simd_registers=32,
    l1d_bytes=32 * KiB,
    l2_bytes=512 * KiB,
    qemu="qemu-aarch64",
    qemu_cpu="cortex-a53",
    gnu_prefix="aarch64-linux-gnu-",
    zig_target="aarch64-linux-gnu.2.17",
    source="Arm ARM DDI 0487, B1.2.1: Armv8.0-A with Advanced SIMD; caches as in arm-a53",
)

CORTEX_A53 = replace(
    ARM_GENERIC,
    name="arm-a53",
    llvm_cpu="cortex-a53",
    features=(),
    source="Cortex-A53 TRM DDI 0500, 2.1.7 (L2 none or 128 KB-2 MB, shared) and 6.1 (L1D 8-64 KB);"
    " sizes as on BCM2837 (Raspberry Pi 3)",
)

CORTEX_A55 = replace(
    ARM_GENERIC,
    name="arm-a55",
    llvm_cpu="cortex-a55",
    features=("+dotprod", "+fullfp16"),
    l2_bytes=128 * KiB,
    qemu_cpu="cortex-a76",
    source="Cortex-A55 TRM 100442, A6.1 (L1D 16-64 KB) and A7.1 (L2 none or 64-256 KB, private);"
    " sizes as on RK3588",
)

CORTEX_A72 = replace(
    ARM_GENERIC,
    name="arm-a72",
    llvm_cpu="cortex-a72",
    features=(),
    l2_bytes=1 * MiB,
    qemu_cpu="cortex-a72",
    source="Cortex-A72 TRM 100095, 6.1 (L1D 32 KB, 2-way) and 7.1 (L2 512 KB-4 MB, shared);"
    " L2 as on BCM2711 (Raspberry Pi 4)",
)

CORTEX_A76 = replace(
    CORTEX_A55,
    name="arm-a76",
    llvm_cpu="cortex-a76",
    l1d_bytes=64 * KiB,
    l2_bytes=512 * KiB,
    source="Cortex-A76 TRM 100798, A6.1 (L1D 64 KB, 4-way) and A7.1 (L2 128-512 KB, private);"
    " L2 as on BCM2712 (Raspberry Pi 5)",
)

CORTEX_A78 = replace(
    CORTEX_A76,
    name="arm-a78",
    llvm_cpu="cortex-a78",
    l2_bytes=256 * KiB,
    source="Cortex-A78 TRM 101430, implementation options (L1D 32 or 64 KB, L2 256 or 512 KB,"
    " private); sizes as on Jetson Orin",
)

CORTEX_X1 = replace(
    CORTEX_A76,
    name="arm-x1",
    llvm_cpu="cortex-x1",
    l2_bytes=1 * MiB,
    source="Cortex-X1 TRM 101433, implementation options (L1D 64 KB, L2 512 KB or 1 MB, private);"
    " L2 as on Snapdragon 888",
)

# 32-bit ARM. NEON has 16 registers of 128 bits (Arm ARM DDI 0406, A2.6) and flushes denormal
# numbers to zero; scalar VFP code does not. LLVM therefore keeps scalar float code off NEON, but
# it does turn the vectors that the schedules ask for into NEON instructions. The generic target
# runs as a Cortex-A8, the oldest Armv7-A core with NEON.
ARMV7_GENERIC = Target(
    name="armv7-generic",
    triple="armv7a-linux-gnueabihf",
    llvm_cpu="generic",
    features=("+neon", "+vfp3"),
    float_abi="hard",
    pointer_bits=32,
    simd_bits=128,
    simd_registers=16,
    l1d_bytes=32 * KiB,
    l2_bytes=256 * KiB,
    qemu="qemu-arm",
    qemu_cpu="cortex-a8",
    gnu_prefix="arm-linux-gnueabihf-",
    zig_target="arm-linux-gnueabihf.2.17",
    source="Arm ARM DDI 0406, A2.6: Armv7-A with VFPv3 and Advanced SIMD; caches as on AM335x"
    " (Cortex-A8, BeagleBone)",
)

CORTEX_A9 = replace(
    ARMV7_GENERIC,
    name="armv7-a9",
    llvm_cpu="cortex-a9",
    features=(),
    l2_bytes=512 * KiB,
    qemu_cpu="cortex-a9",
    source="Cortex-A9 TRM DDI 0388, 7.1 (L1D 16-64 KB) and Cortex-A9 NEON MPE TRM DDI 0409;"
    " sizes, with the external L2, as on Zynq-7000 (UG585)",
)

ARM_TARGETS = (
    ARM_GENERIC,
    CORTEX_A53,
    CORTEX_A55,
    CORTEX_A72,
    CORTEX_A76,
    CORTEX_A78,
    CORTEX_X1,
    ARMV7_GENERIC,
    CORTEX_A9,
)
