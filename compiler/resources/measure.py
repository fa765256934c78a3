"""What the C files of a model turn out to need, with the tools that this machine has."""

import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ..errors import CompileError
from ..library.elf import Elf
from ..runners.boards.board import SUPPORT
from ..runners.boards.image import COMPILE_OPTIONS
from ..runners.boards.model import BoardModel, ModelOnBoard
from ..runners.boards.toolchain import find_board_toolchain
from ..toolchain import Toolchain
from .stack import CallGraph, StackUse

_FIRST_GCC = 10  # with -fcallgraph-info


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was found out; None = there is no tool for it on this machine.

    Attributes:
        code_bytes: Of machine code, compiled with -O2.
        stack: Of the functions that the caller calls; only gcc tells.
        instructions: Executed in one inference, with inputs that are 0.
        tools: The compiler and the board that were used.
    """

    code_bytes: int | None = None
    stack: StackUse | None = None
    instructions: int | None = None
    tools: tuple[str, ...] = ()


def measure(model: BoardModel) -> Measured:
    """Compile the C files of a model for its core, and run it once on the emulated board.

    Raises:
        CompileError: A tool is there but fails: a bug in penjing.
    """
    try:
        toolchain = find_board_toolchain(model.core)
    except CompileError:  # there is no compiler
        return Measured()
    code_bytes, stack = _measure_objects(model, toolchain)
    instructions, board = _count(model)
    tools = (f"{toolchain.version}, -O2", *([f"QEMU {board}"] if board else []))
    return Measured(code_bytes=code_bytes, stack=stack, instructions=instructions, tools=tools)


def _measure_objects(model: BoardModel, toolchain: Toolchain) -> tuple[int, StackUse | None]:
    """Bytes of code, and the stack of the run function."""
    tells = _tells_frames(toolchain)
    options = ["-fcallgraph-info=su", "-save-temps=obj"] if tells else []
    graph, code_bytes = CallGraph(), 0
    with tempfile.TemporaryDirectory(prefix="penjing-measure-") as name:
        folder = Path(name)
        for header in SUPPORT.glob("*.h"):
            (folder / header.name).write_bytes(header.read_bytes())
        for file, text in model.sources.items():
            (folder / file).write_bytes(text if isinstance(text, bytes) else text.encode())
        for file in (file for file in model.sources if file.endswith(".c")):
            made = folder / f"{Path(file).stem}.o"
            toolchain.run([*COMPILE_OPTIONS, *options, "-I.", "-c", file, "-o", made.name], folder)
            code_bytes += Elf(made.read_bytes()).section_bytes(".text")
            if tells:
                graph.read(made.with_suffix(".ci").read_text())
                graph.read_assembly(made.with_suffix(".s").read_text())
    entries = (f"{model.name}_{entry}" for entry in ("run", "feed_row"))
    uses = [graph.deepest(entry) for entry in entries if entry in graph.frames]
    return code_bytes, max(uses, key=lambda use: use.bytes, default=None)


def _tells_frames(toolchain: Toolchain) -> bool:
    """Whether a compiler writes frames and calls: gcc 10 and later."""
    version = re.search(r"\) (\d+)\.\d+", toolchain.version)
    is_gcc = toolchain.command[0].endswith("gcc")
    return is_gcc and version is not None and int(version[1]) >= _FIRST_GCC


def _count(model: BoardModel) -> tuple[int | None, str]:
    """Executed instructions, and the board."""
    if shutil.which("qemu-system-arm") is None:
        return None, ""
    try:
        program = ModelOnBoard(model)
    except CompileError:  # the board is too small
        return None, ""
    run = program.run(bytes(sum(model.input_bytes)), count=True)
    return run.instructions[0], program.board.machine
