"""The boards that QEMU emulates: where their memories are, and linker scripts for them."""

from dataclasses import dataclass
from pathlib import Path

from ....targets.microcontrollers import Microcontroller
from ....targets.target import KiB, MiB

SUPPORT = Path(__file__).parent  # of the C files and the linker script
STACK_BYTES = 4 * KiB


@dataclass(frozen=True)
class Memory:
    """A range of addresses."""

    start: int
    bytes: int

    def __str__(self) -> str:
        """As linker scripts write it."""
        return f"ORIGIN = 0x{self.start:08x}, LENGTH = {self.bytes // KiB}K"


@dataclass(frozen=True, kw_only=True)
class Board:
    """A machine of qemu-system-arm. The memories are those that a program may use.

    `constants` is where read-only data goes: beside the code, unless that is a small memory.
    """

    machine: str
    cpu: str = ""  # "" = the one that the machine comes with
    code: Memory
    ram: Memory
    constants: Memory | None = None
    source: str  # of the addresses

    def linker_script(self) -> str:
        """The text of a complete linker script for GNU ld and lld."""
        memories = {"CODE": ("rx", self.code), "RAM": ("rwx", self.ram)}
        if self.constants is not None:
            memories["CONSTANTS"] = ("r", self.constants)
        rows = [f"    {name} ({access}) : {memory}" for name, (access, memory) in memories.items()]
        alias = [] if self.constants is not None else ['REGION_ALIAS("CONSTANTS", CODE)']
        parts = [
            f"/* Memory of QEMU's {self.machine}: {self.source}. */",
            "MEMORY\n{",
            *rows,
            "}",
            *alias,
            f"STACK_BYTES = {STACK_BYTES};",
            "",
            (SUPPORT / "sections.ld").read_text(),
        ]
        return "\n".join(parts)


_MPS2 = Board(
    machine="mps2-an385",
    code=Memory(0x00000000, 4 * MiB),
    ram=Memory(0x20000000, 4 * MiB),
    source="Arm application note AN385, 3.1: ZBT SSRAM 1, 2 and 3",
)
BOARDS = {
    board.machine: board
    for board in (
        _MPS2,
        Board(
            machine="mps2-an386",
            code=_MPS2.code,
            ram=_MPS2.ram,
            source="Arm application note AN386, 3.1: as AN385",
        ),
        Board(
            machine="mps2-an500",
            code=_MPS2.code,
            ram=_MPS2.ram,
            source="Arm application note AN500, 3.1: as AN385",
        ),
        Board(
            machine="mps2-an505",
            code=Memory(0x10000000, 4 * MiB),
            ram=Memory(0x38000000, 4 * MiB),
            source="Arm application note AN505, 3.1: secure aliases of SSRAM 1, 2 and 3",
        ),
        Board(
            machine="mps3-an547",
            code=Memory(0x00000000, 512 * KiB),
            ram=Memory(0x01000000, 2 * MiB),
            constants=Memory(0x60000000, 64 * MiB),
            source="Arm application note AN547, 3.1: ITCM, SRAM and DDR4",
        ),
        Board(
            machine="lm3s6965evb",
            cpu="cortex-m0",
            code=Memory(0x00000000, 256 * KiB),
            ram=Memory(0x20000000, 64 * KiB),
            source="LM3S6965 data sheet, 8: flash and SRAM; with the core of Armv6-M",
        ),
    )
}


def board_of(core: Microcontroller) -> Board:
    """The board that runs programs for `core`."""
    return BOARDS[core.qemu_board]
