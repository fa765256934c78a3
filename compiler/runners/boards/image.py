"""C files -> a program for a board: code, constants and start-up in one ELF file."""

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

from ....targets.microcontrollers import Microcontroller
from ...library.elf import SYMTAB, Elf
from .board import SUPPORT, Board, board_of
from .toolchain import find_board_toolchain

COMPILE_OPTIONS = ("-std=c11", "-O2", "-g0", "-ffreestanding", "-ffunction-sections")
_LINK_OPTIONS = ("-nostdlib", "-Wl,--gc-sections", "-Wl,-z,max-page-size=4096")
_SUPPORT_FILES = ("board.h", "string.h", "math.h", "startup.c", "semihosting.c", "memory.c")


def build_image(
    core: Microcontroller,
    sources: Mapping[str, str | bytes],
    folder: Path,
    *,
    options: Sequence[str] = (),
    board: Board | None = None,
) -> Path:
    """The program made of C files, one of which has `int main(void)`.

    Args:
        core: What the code is generated for.
        sources: File names and texts; what ends with .c or .S is compiled, other files are there
            to be included, like "board.h", which comes with every program.
        folder: Where the program and its sources are written.
        options: Of the compiler, after its usual ones (-O2).
        board: Where it runs, if not on the usual board of the core.

    Raises:
        CompileError: There is no compiler for the core, or it failed.
    """
    toolchain = find_board_toolchain(core)
    support = {name: (SUPPORT / name).read_text() for name in _SUPPORT_FILES}
    script = (board or board_of(core)).linker_script()
    for name, text in {**support, "board.ld": script, **sources}.items():
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    files = [name for name in (*support, *sources) if name.endswith((".c", ".S"))]
    helpers = [toolchain.helpers] if toolchain.helpers else []
    link = [*_LINK_OPTIONS, "-Wl,-T,board.ld", *helpers, "-o", "image.elf"]
    toolchain.run([*COMPILE_OPTIONS, *options, "-I.", *files, *link], folder)
    return folder / "image.elf"


def addresses(image: Path, names: Sequence[str]) -> dict[str, int]:
    """The addresses of functions in a program."""
    elf = Elf(image.read_bytes())
    table = next(section for section in elf.sections if section.type == SYMTAB)
    entries = elf.data[table.offset : table.offset + table.size]
    strings = elf.data[elf.sections[table.link].offset :]
    found = {}
    for name, value, *_ in struct.iter_unpack(elf.layout.symbol, entries):
        text = strings[name : strings.find(b"\0", name)].decode()
        if text in names:
            found[text] = value & ~1  # the lowest bit says that it is Thumb code
    return found
