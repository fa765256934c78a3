"""Mobile GPUs that OpenCL libraries are made for, and the CPU beside them."""

from dataclasses import dataclass, fields, replace
from typing import Any

from .target import Target
from .x86 import X86_TARGETS


@dataclass(frozen=True, kw_only=True)
class MobileGpu(Target):
    """A GPU, and the CPU that runs the model where the GPU cannot.

    The fields of `Target` are the CPU's: both compute the same regions on the same buffers, so what
    decides about packed weights and layouts is the CPU. Numbers about speed are for estimates only.
    """

    cpu: str  # name of the target that the other fields are of
    vector_bits: int = 128  # of what one work-item loads, computes and stores at once
    registers: int = 64  # of 32 bits that a work-item has before fewer of them run at once
    half_storage: bool = False  # whether programs are stored in float16 unless told otherwise
    compute_units: int = 1
    wave: int = 16  # work-items that run in step
    gflops: float = 0.0  # float32, multiply-adds count as two; 0 = not known
    half_gflops: float = 0.0
    bandwidth: float = 0.0  # GB/s of memory
    launch_microseconds: float = 0.0


def beside(cpu: Target, **device: Any) -> MobileGpu:
    """A GPU beside a CPU; `device` has the fields that are the GPU's, name and source included."""
    own = {field.name: getattr(cpu, field.name) for field in fields(Target)}
    return MobileGpu(**{**own, "cpu": cpu.name, **device})


def with_cpu(gpu: MobileGpu, cpu: Target) -> MobileGpu:
    """The same GPU beside another CPU."""
    own = {field.name: getattr(cpu, field.name) for field in fields(Target)}
    return replace(gpu, **{**own, "name": gpu.name, "source": gpu.source, "cpu": cpu.name})


_PORTABLE = next(target for target in X86_TARGETS if target.name == "x86-64-v3")

OPENCL = beside(
    _PORTABLE,
    name="opencl",
    source="OpenCL 1.2: nothing is assumed about the device",
)
