"""Microcontrollers: Arm Cortex-M cores, and some boards that carry them.

A core alone limits no memory; `targets.get("cortex-m4", flash="1MB", ram="256KB")` or a board does.
What is compiled for a core is C, so the flags are those of gcc.

Emulation: QEMU 7.2 has no board with a Cortex-M0+; such programs run on the Cortex-M3 board, which
executes a superset of its instructions.
"""

import re
from dataclasses import dataclass, replace

from .target import KiB, MiB, Target

_UNITS = {"": 1, "B": 1, "KB": KiB, "KIB": KiB, "MB": MiB, "MIB": MiB}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Z]*)")


@dataclass(frozen=True, kw_only=True)
class Microcontroller(Target):
    """A core without caches and operating system that programs are compiled to C for.

    Kernels of the generic lowering are scalar (`simd_bits` is 0); micro-kernels ask `has_dsp` and
    `has_mve`. `ssat` exists from Armv7-M on, so not on a Cortex-M0+ (`has_saturation`).
    """

    gcc_flags: tuple[str, ...]  # -mcpu, -mfpu, ... of arm-none-eabi-gcc
    has_saturation: bool = True  # SSAT, USAT, and SMULL: Armv7-M
    has_dsp: bool = False  # SMLAD, SXTB16, SMMLAR: __ARM_FEATURE_DSP
    has_mve: bool = False  # vectors of 128 bits: __ARM_FEATURE_MVE
    has_fpu: bool = False  # float32 in hardware
    flash_bytes: int = 0  # for code and constants; 0 = not a limit
    ram_bytes: int = 0  # for the arena, inputs, outputs and stack; 0 = not a limit
    spends_flash: bool = False  # on larger constants where that saves instructions
    qemu_board: str  # -machine of qemu-system-arm

    simd_bits: int = 0
    simd_registers: int = 0
    l1d_bytes: int = 0
    l2_bytes: int = 0
    pointer_bits: int = 32
    qemu: str = "qemu-system-arm"
    gnu_prefix: str = "arm-none-eabi-"

    @property
    def has_division(self) -> bool:
        """Whether an instruction divides integers: Armv7-M, as SSAT."""
        return self.has_saturation

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.flash_bytes < 0 or self.ram_bytes < 0:
            raise ValueError(f"{self.name}: sizes of memory cannot be negative")


def size_in_bytes(text: str | int) -> int:
    """The bytes of "256KB", "1MB", "1536" or a number; as in data sheets, 1 KB is 1024 bytes.

    Raises:
        ValueError: The text is no such size.
    """
    if isinstance(text, int) and not isinstance(text, bool) and text > 0:
        return text
    match = _SIZE.fullmatch(str(text).strip().upper())
    if match is None or match[2] not in _UNITS or float(match[1]) <= 0:
        raise ValueError(f"a size of memory is a number with KB or MB, got {text!r}")
    return round(float(match[1]) * _UNITS[match[2]])


CORTEX_M0PLUS = Microcontroller(
    name="cortex-m0plus",
    triple="thumbv6m-none-eabi",
    llvm_cpu="cortex-m0plus",
    gcc_flags=("-mcpu=cortex-m0plus", "-mthumb", "-mfloat-abi=soft"),
    has_saturation=False,
    qemu_board="mps2-an385",
    zig_target="thumb-freestanding-eabi",
    source="Cortex-M0+ TRM DDI 0484, 3.3: Armv6-M, 32-bit results of multiplications only",
)

CORTEX_M3 = replace(
    CORTEX_M0PLUS,
    name="cortex-m3",
    triple="thumbv7m-none-eabi",
    llvm_cpu="cortex-m3",
    gcc_flags=("-mcpu=cortex-m3", "-mthumb", "-mfloat-abi=soft"),
    has_saturation=True,
    source="Cortex-M3 TRM 100165, 3.3: Armv7-M without DSP extension",
)

CORTEX_M4 = replace(
    CORTEX_M3,
    name="cortex-m4",
    triple="thumbv7em-none-eabihf",
    llvm_cpu="cortex-m4",
    float_abi="hard",
    gcc_flags=("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16"),
    has_dsp=True,
    has_fpu=True,
    qemu_board="mps2-an386",
    zig_target="thumb-freestanding-eabihf",
    source="Cortex-M4 TRM 100166, 3.3 (Armv7E-M, DSP extension) and 7 (FPv4-SP, optional)",
)

CORTEX_M7 = replace(
    CORTEX_M4,
    name="cortex-m7",
    llvm_cpu="cortex-m7",
    gcc_flags=("-mcpu=cortex-m7", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"),
    qemu_board="mps2-an500",
    source="Cortex-M7 TRM DDI 0489, 1.3 (Armv7E-M; caches are optional and only make it faster)"
    " and 8 (FPv5, double precision optional)",
)

CORTEX_M33 = replace(
    CORTEX_M4,
    name="cortex-m33",
    triple="thumbv8m.main-none-eabihf",
    llvm_cpu="cortex-m33",
    gcc_flags=("-mcpu=cortex-m33", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv5-sp-d16"),
    qemu_board="mps2-an505",
    source="Cortex-M33 TRM 100230, A1.2 (Armv8-M Mainline; DSP extension and FPv5 are optional,"
    " and present on nearly all chips)",
)

CORTEX_M55 = replace(
    CORTEX_M33,
    name="cortex-m55",
    triple="thumbv8.1m.main-none-eabihf",
    llvm_cpu="cortex-m55",
    gcc_flags=("-mcpu=cortex-m55", "-mthumb", "-mfloat-abi=hard"),
    has_mve=True,
    qemu_board="mps3-an547",
    source="Cortex-M55 TRM 101051, A1.3: Armv8.1-M with MVE for integers and floats",
)

CORES = (CORTEX_M0PLUS, CORTEX_M3, CORTEX_M4, CORTEX_M7, CORTEX_M33, CORTEX_M55)


def _board(name: str, core: Microcontroller, *, flash: str, ram: str, source: str) -> Target:
    return replace(
        core,
        name=name,
        source=f"{source}; {core.source}",
        flash_bytes=size_in_bytes(flash),
        ram_bytes=size_in_bytes(ram),
    )


BOARDS = (
    _board("raspberry-pi-pico", CORTEX_M0PLUS, flash="2MB", ram="264KB",
           source="RP2040 data sheet, 2.6 (SRAM); Pico data sheet, 1 (flash)"),
    _board("raspberry-pi-pico-2", CORTEX_M33, flash="4MB", ram="520KB",
           source="RP2350 data sheet, 2.2 (SRAM); Pico 2 data sheet, 1 (flash)"),
    _board("arduino-nano-33-ble", CORTEX_M4, flash="1MB", ram="256KB",
           source="nRF52840 product specification, 4.2 (memory)"),
    _board("microbit-v2", CORTEX_M4, flash="512KB", ram="128KB",
           source="nRF52833 product specification, 4.2 (memory)"),
    _board("nucleo-f103rb", CORTEX_M3, flash="128KB", ram="20KB",
           source="STM32F103xB data sheet DS5319, 2.1"),
    _board("nucleo-l4r5zi", CORTEX_M4, flash="2MB", ram="640KB",
           source="STM32L4R5xx data sheet DS12023, 2"),
    _board("nucleo-f746zg", CORTEX_M7, flash="1MB", ram="320KB",
           source="STM32F746xx data sheet DS10916, 2"),
)  # fmt: skip
