"""Runs programs on emulated boards, and counts what they execute: the same every time."""

import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from ....targets.microcontrollers import Microcontroller
from ...errors import CompileError
from ..counting import counting_plugin, run_lengths
from .board import Board, board_of
from .image import addresses, build_image

_MARKS = {"begin": "board_mark_begin", "end": "board_mark_end", "step": "penjing_step"}
_FIRST_STEP = 16
_LONGEST_SECONDS = 1800  # of an emulation: some 10 to 100 million instructions a second


@dataclass(frozen=True, kw_only=True)
class BoardRun:
    """What a program did.

    Attributes:
        exit_code: What main() returned, or a code of board.h.
        text: What it printed.
        files: What it wrote, by name.
        instructions: Executed between each `board_mark_begin()` and the following
            `board_mark_end()`, without the calls themselves.
        steps: Executed between successive calls of `penjing_step()`, likewise.
        blocks: Straight pieces of code between the last two marks: address, instructions,
            executions. Only if they were asked for.
        mnemonics: Executed instructions of each kind between the last two marks, likewise.
    """

    exit_code: int
    text: str
    files: Mapping[str, bytes]
    instructions: tuple[int, ...]
    steps: tuple[int, ...]
    blocks: tuple[tuple[int, int, int], ...] = ()
    mnemonics: Mapping[str, int] = field(default_factory=dict)


def run_program(
    core: Microcontroller,
    sources: Mapping[str, str | bytes],
    *,
    files: Mapping[str, bytes] | None = None,
    options: Sequence[str] = (),
) -> BoardRun:
    """Build a program (`build_image`) and run it (`run_image`) on the core's board.

    Raises:
        CompileError: A tool is missing, or the compiler failed.
    """
    with tempfile.TemporaryDirectory(prefix="penjing-board-") as name:
        image = build_image(core, sources, Path(name), options=options)
        return run_image(image, board_of(core), files=files)


def run_image(
    image: Path,
    board: Board,
    *,
    files: Mapping[str, bytes] | None = None,
    count: bool = True,
    blocks: bool = False,
    mnemonics: bool = False,
) -> BoardRun:
    """Run a program on a board until it ends.

    Args:
        image: The program.
        board: Where it runs.
        files: What it may read, by name.
        count: Whether to count instructions, which takes a little longer.
        blocks: Whether to count each piece of code too.
        mnemonics: Whether to count each kind of instruction too.

    Raises:
        CompileError: The emulator or its counting plugin is missing.
    """
    with (
        tempfile.TemporaryDirectory(prefix="penjing-run-") as name,
        tempfile.TemporaryDirectory(prefix="penjing-count-") as counts,
    ):
        folder, out = Path(name), Path(counts, "marks")
        for file, data in (files or {}).items():
            (folder / file).write_bytes(data)
        command = [*_machine(board), "-kernel", str(image.resolve())]
        if count:
            command += ["-plugin", _plugin_options(image, out, blocks=blocks, mnemonics=mnemonics)]
        done = _emulate(command, folder)
        if count and not out.exists():
            raise CompileError(
                "the emulator counted nothing",
                got=done.stderr.strip() or "its plugin did not start",
                fix="use a QEMU that was built with plugins (Debian: qemu-system-arm)",
            )
        rows = [line.split() for line in out.read_text().splitlines()] if count else []
        written = {
            path.name: path.read_bytes()
            for path in sorted(folder.iterdir())
            if path.name not in (files or {})
        }
    marks = [(int(row[1]), int(row[2])) for row in rows if row[0] == "mark"]
    empty, lengths, steps = _lengths(marks)
    return BoardRun(
        exit_code=done.returncode,
        text=done.stderr + done.stdout,
        files=written,
        instructions=tuple(length - empty for length in lengths),
        steps=tuple(after - before - empty for before, after in pairwise(steps)),
        blocks=tuple((int(r[1]), int(r[2]), int(r[3])) for r in rows if r[0] == "block"),
        mnemonics={row[2]: int(row[1]) for row in rows if row[0] == "count"},
    )


def _emulate(command: Sequence[str], folder: Path) -> "subprocess.CompletedProcess[str]":
    try:
        return subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
            timeout=_LONGEST_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise CompileError(
            f"the program on the emulated board did not end in {_LONGEST_SECONDS} s",
            fix="a bug in penjing, unless the model needs billions of instructions",
        ) from error


def _machine(board: Board) -> list[str]:
    program = shutil.which("qemu-system-arm")
    if program is None:
        raise CompileError(
            f"running programs of microcontrollers needs qemu-system-arm ({board.machine})",
            got="it is not installed",
            fix="install QEMU's emulators of ARM systems (Debian: apt install qemu-system-arm)",
        )
    cpu = ["-cpu", board.cpu] if board.cpu else []
    quiet = ["-nographic", "-monitor", "none", "-serial", "none"]
    semihosting = ["-semihosting-config", "enable=on,target=native"]
    return [program, "-machine", board.machine, *cpu, *quiet, *semihosting]


def _plugin_options(image: Path, out: Path, *, blocks: bool, mnemonics: bool) -> str:
    places = addresses(image, tuple(_MARKS.values()))
    marks = (f"{kind}={places[name]:#x}" for kind, name in _MARKS.items() if name in places)
    wanted = {"blocks=on": blocks, "mnemonics=on": mnemonics}
    extra = (option for option, is_wanted in wanted.items() if is_wanted)
    return ",".join([str(counting_plugin()), f"out={out}", *marks, *extra])


def _lengths(marks: Sequence[tuple[int, int]]) -> tuple[int, list[int], list[int]]:
    """Cost of the marks themselves, that of each run, and the positions of steps."""
    ends = [index for index, (position, _) in enumerate(marks) if position == 2]
    complete = marks[: ends[-1] + 1] if ends else []  # a program may have stopped in a run
    lengths = run_lengths(complete)
    steps = [total for position, total in marks if position >= _FIRST_STEP]
    return (lengths[0] if lengths else 0), lengths[1:], steps
