"""What the object files of a model hold: code, constants, variables, and what they need."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ....targets.microcontrollers import Microcontroller
from ...library.elf import Elf
from .board import SUPPORT
from .image import COMPILE_OPTIONS
from .toolchain import find_board_toolchain


@dataclass(frozen=True)
class ObjectFacts:
    """Sizes in bytes of a model's parts, and the functions that it calls but does not have."""

    code_bytes: int
    constant_bytes: int
    variable_bytes: int
    undefined: frozenset[str]


def object_facts(
    core: Microcontroller, sources: Mapping[str, str | bytes], *, options: Sequence[str] = ()
) -> ObjectFacts:
    """Compile the C files of a model, each alone, and look at the objects.

    Raises:
        CompileError: There is no compiler for the core, or it failed.
    """
    toolchain = find_board_toolchain(core)
    with tempfile.TemporaryDirectory(prefix="penjing-objects-") as name:
        folder = Path(name)
        libc = {name: (SUPPORT / name).read_bytes() for name in ("string.h", "math.h")}
        for file, text in {**libc, **sources}.items():
            (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())
        objects = []
        for file in (file for file in sources if file.endswith((".c", ".S"))):
            toolchain.run(
                [*COMPILE_OPTIONS, *options, "-I.", "-c", file, "-o", f"{file}.o"], folder
            )
            objects.append(Elf((folder / f"{file}.o").read_bytes()))
        defined = {symbol for elf in objects for symbol in elf.exported()}
        return ObjectFacts(
            code_bytes=sum(elf.section_bytes(".text") for elf in objects),
            constant_bytes=sum(elf.section_bytes(".rodata") for elf in objects),
            variable_bytes=sum(
                elf.section_bytes(section) for elf in objects for section in (".data", ".bss")
            ),
            undefined=frozenset(name for elf in objects for name in elf.undefined()) - defined,
        )
