"""Mobile GPUs that OpenCL libraries are made for, and the CPU beside them."""

import platform
from dataclasses import dataclass, fields, replace
from typing import Any

from .arm import ARM_GENERIC, CORTEX_A55
from .target import Target
from .x86 import X86_TARGETS

SYSTEMS = ("linux", "android")


@dataclass(frozen=True, kw_only=True)
class MobileGpu(Target):
    """A GPU, and the CPU that runs the model where the GPU cannot.

    The fields of `Target` are the CPU's: both compute the same regions on the same buffers, so what
    decides about packed weights and layouts is the CPU. Numbers about speed are for estimates only.
    """

    cpu: str  # name of the target that the other fields are of
    os: str = SYSTEMS[0]  # whose libc the library calls
    vector_bits: int = 128  # of what one work-item loads, computes and stores at once
    registers: int = 64  # of 32 bits that a work-item has before fewer of them run at once
    half_storage: bool = False  # whether programs are stored in float16 unless told otherwise
    compute_units: int = 1
    wave: int = 16  # work-items that run in step
    loads_by_vector: bool = True  # of elements that vectors are multiplied by: several at once
    gflops: float = 0.0  # float32, multiply-adds count as two; 0 = not known
    half_gflops: float = 0.0
    bandwidth: float = 0.0  # GB/s of memory
    launch_microseconds: float = 0.0  # assumed: makers publish none


def beside(cpu: Target, **device: Any) -> MobileGpu:
    """A GPU beside a CPU; `device` has the fields that are the GPU's, name and source included."""
    own = {field.name: getattr(cpu, field.name) for field in fields(Target)}
    return MobileGpu(**{**own, "cpu": cpu.name, **device})


def with_cpu(gpu: MobileGpu, cpu: Target) -> MobileGpu:
    """The same GPU beside another CPU."""
    own = {field.name: getattr(cpu, field.name) for field in fields(Target)}
    return replace(gpu, **{**own, "name": gpu.name, "source": gpu.source, "cpu": cpu.name})


_PORTABLE = next(target for target in X86_TARGETS if target.name == "x86-64-v3")

# A device without a profile may be a CPU: there, wide vectors and elements spread from memory are
# what multiply-adds wait for. On a GPU they are lanes of the same registers, and cost nothing.
OPENCL = beside(
    _PORTABLE,
    name="opencl",
    vector_bits=256,
    registers=128,
    loads_by_vector=False,
    source="OpenCL 1.2: nothing is assumed about the device",
)

# One chip stands for a family: peak numbers are those of its GPU. A work-item has 64 registers on
# Mali (Arm OpenCL developer guide 101574, 9.6). On Adreno, 64 let 12 of 16 waves run (Mesa: a
# register file of 96 vectors, reg_size_vec4; max_waves).
ADRENO_6XX = beside(
    ARM_GENERIC,
    name="adreno-6xx",
    source="Adreno 640 in Snapdragon 855: 898.5 GFLOPS at 585 MHz, twice that in float16 (Chips and"
    " Cheese, Inside the Snapdragon 855's iGPU, 2024), LPDDR4X-4266 of 64 bits; 2 shader"
    " processors, waves of 64 (Mesa, freedreno_devices.py)",
    half_storage=True,
    compute_units=2,
    wave=64,
    gflops=898.5,
    half_gflops=1797.0,
    bandwidth=34.1,
    launch_microseconds=15.0,
)

ADRENO_7XX = beside(
    CORTEX_A55,
    name="adreno-7xx",
    source="Adreno 730 in Snapdragon 8 Gen 1: 4 shader processors, waves of 64 (Mesa,"
    " freedreno_devices.py), 256 float32 multiply-adds each as in the X1 (Chips and Cheese, The"
    " Snapdragon X Elite's Adreno iGPU, 2024) at 818 MHz, twice that in float16; LPDDR5-6400 of 64"
    " bits",
    half_storage=True,
    compute_units=4,
    wave=64,
    gflops=1675.0,
    half_gflops=3350.0,
    bandwidth=51.2,
    launch_microseconds=15.0,
)

MALI_G5X = beside(
    ARM_GENERIC,
    name="mali-g5x",
    source="Mali-G57 MC2 in Dimensity 700: 64 float32 and 128 float16 operations a clock and core,"
    " warps of 16 (Arm Mali GPU datasheet 2021; Mali-G52: half of that, warps of 8) at 950 MHz;"
    " LPDDR4X-4266 of 32 bits",
    half_storage=True,
    compute_units=2,
    wave=16,
    gflops=121.6,
    half_gflops=243.2,
    bandwidth=17.1,
    launch_microseconds=30.0,
)

MALI_G7X = beside(
    CORTEX_A55,
    name="mali-g7x",
    source="Mali-G77 MC9 in Dimensity 1000: 64 float32 and 128 float16 operations a clock and core,"
    " warps of 16 (Arm Mali GPU datasheet 2021) at 850 MHz; LPDDR4X-3733 of 64 bits",
    half_storage=True,
    compute_units=9,
    wave=16,
    gflops=489.6,
    half_gflops=979.2,
    bandwidth=29.9,
    launch_microseconds=30.0,
)

GPUS = (ADRENO_6XX, ADRENO_7XX, MALI_G5X, MALI_G7X)


def portable_gpu() -> MobileGpu:
    """Any device, beside a CPU of this machine's architecture."""
    is_arm = platform.machine() in ("aarch64", "arm64")
    return with_cpu(OPENCL, ARM_GENERIC) if is_arm else OPENCL
