"""What the compiler may assume about a device, and the registry of known devices."""

from dataclasses import dataclass

KiB = 1024
MiB = 1024 * KiB


@dataclass(frozen=True, kw_only=True)
class Target:
    """One core that models are compiled for: a CPU, or a `Microcontroller`.

    Sizes are bytes per core unless a field says otherwise. Every number comes from `source`.
    """

    name: str  # public name: compile(model, target=name)
    triple: str  # LLVM triple
    llvm_cpu: str  # LLVM -mcpu
    features: tuple[str, ...] = ()  # LLVM -mattr entries on top of llvm_cpu, "+dotprod"
    float_abi: str = ""  # "hard" on 32-bit ARM, else ""
    pointer_bits: int = 64
    simd_bits: int  # width of the vector registers the kernels use; 0 = they use none
    simd_registers: int  # architectural vector registers
    l1d_bytes: int
    l2_bytes: int  # all of it, also where cores share it
    qemu: str = ""  # user-mode emulator, "qemu-aarch64"; "" = none
    qemu_cpu: str = ""  # its -cpu
    gnu_prefix: str = ""  # prefix of a GNU cross toolchain, "aarch64-linux-gnu-"
    zig_target: str  # -target of `zig cc`, with the oldest glibc the library may meet
    source: str  # where the numbers come from: manual, section

    def __post_init__(self) -> None:
        if self.simd_bits % 64 or self.simd_bits < 0:
            raise ValueError(
                f"{self.name}: simd_bits must be a multiple of 64, got {self.simd_bits}"
            )
        if not self.source:
            raise ValueError(f"{self.name}: say where its numbers come from")

    @property
    def has_half_arithmetic(self) -> bool:
        """Whether vectors of float16 can be computed with, not only converted."""
        return "+fullfp16" in self.features

    @property
    def has_half_conversions(self) -> bool:
        """Whether instructions convert between float16 and float32: not before F16C and VFPv4."""
        is_armv7 = self.triple.startswith("armv7")
        return self.llvm_cpu == "cortex-a9" if is_armv7 else self.llvm_cpu != "x86-64-v2"

    def lanes(self, dtype_bits: int) -> int:
        """Elements of `dtype_bits` bits that fit one vector register (at least 1)."""
        return max(1, self.simd_bits // dtype_bits)
