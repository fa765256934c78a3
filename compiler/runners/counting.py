"""Counts the instructions that one inference executes, under an emulator: the same every time."""

import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np

from ...targets.host import host_target
from ..errors import CompileError
from ..toolchain import find_toolchain
from .build_cache import cached_build
from .process import ModelProcess

_PLUGIN = Path(__file__).with_name("icount.c")
_BEGIN, _END, _FIRST_STEP = 1, 2, 16  # positions that driver.c marks

# Kinds of instructions by mnemonic, of AArch64, 32-bit ARM and x86; the first that fits counts.
_KINDS = {
    "multiply-add": r"v?f?ml[as].*|v?fn?m(add|sub).*|vfn?m[as].*|[su]dot|[su]?m(add|sub)l?"
    r"|[su]ml[as]l2?|vpdp.*",
    "load": r"v?ld.*|pop.*",
    "store": r"v?st.*|push.*",
    "branch": r"b|b\..*|bl|blr|br|bx|blx|b(eq|ne|cs|cc|mi|pl|vs|vc|hi|ls|ge|lt|gt|le|hs|lo)"
    r"|cbn?z|tbn?z|ret|j.*|callq?|retq?",
    "vector": r"v.*|f.*|dup|ins|[su]mov|zip.|uzp.|trn.|ext|tb[lx]|m[vo][vn]i.*|[su]cvtf",
}


@dataclass(frozen=True)
class InstructionCount:
    """Instructions of one inference.

    `by_mnemonic` and `by_kind` are empty unless they were asked for.
    """

    total: int
    by_mnemonic: dict[str, int] = field(default_factory=dict)

    @property
    def by_kind(self) -> dict[str, int]:
        """Counts of multiply-adds, loads, stores, branches, other vector instructions, the rest."""
        kinds = dict.fromkeys((*_KINDS, "other"), 0) if self.by_mnemonic else {}
        for mnemonic, count in self.by_mnemonic.items():
            kinds[_kind(mnemonic)] += count
        return kinds


def count_instructions(
    process: ModelProcess, arrays: Sequence[np.ndarray], *, mnemonics: bool = False
) -> InstructionCount:
    """Instructions of one run on one thread.

    A library keeps no state, so its first run executes what every later one does.

    Args:
        process: The model under an emulator.
        arrays: The inputs, as the library takes them.
        mnemonics: Whether to count each mnemonic too, which takes longer.
    """
    marks, counts = trace_marks(process, arrays, mnemonics=mnemonics)
    empty, total = run_lengths(marks)
    return InstructionCount(total - empty, counts)


def count_steps(process: ModelProcess, arrays: Sequence[np.ndarray]) -> list[int]:
    """Instructions of each kernel call in one run of a measuring build."""
    marks, _ = trace_marks(process, arrays)
    steps = [total for position, total in marks if position >= _FIRST_STEP]
    empty = run_lengths(marks)[0]
    return [after - before - empty for before, after in pairwise(steps)]


def run_lengths(marks: Sequence[tuple[int, int]]) -> list[int]:
    """Instructions between the begin and end marks of each run; the first run is empty."""
    begins = [total for position, total in marks if position == _BEGIN]
    ends = [total for position, total in marks if position == _END]
    return [end - begin for begin, end in zip(begins, ends, strict=True)]


def trace_marks(
    process: ModelProcess,
    arrays: Sequence[np.ndarray],
    *,
    runs: int = 1,
    mnemonics: bool = False,
) -> tuple[list[tuple[int, int]], dict[str, int]]:
    """All marks of some runs as (position, instructions so far), and counts of mnemonics."""
    rows = _watch(process, arrays, runs, "mnemonics=on" if mnemonics else "")
    marks = [(int(row[1]), int(row[2])) for row in rows if row[0] == "mark"]
    return marks, {row[2]: int(row[1]) for row in rows if row[0] == "count"}


def count_blocks(process: ModelProcess, arrays: Sequence[np.ndarray]) -> list[tuple[int, int, int]]:
    """Pieces of straight code that one run executes: address, instructions, executions.

    Code that was translated twice is in two rows. Addresses are those of the program's file if it
    is linked statically.
    """
    rows = _watch(process, arrays, 1, "blocks=on")
    return [(int(row[1]), int(row[2]), int(row[3])) for row in rows if row[0] == "block"]


def _watch(
    process: ModelProcess, arrays: Sequence[np.ndarray], runs: int, option: str
) -> list[list[str]]:
    """What the plugin wrote, line by line."""
    with tempfile.TemporaryDirectory(prefix="penjing-count-") as name:
        out = Path(name, "marks")
        options = ",".join(filter(None, [str(counting_plugin()), f"out={out}", option]))
        process.run(arrays, runs=runs, emulator_options=["-plugin", options])
        if not out.exists():
            raise CompileError(
                "the emulator counted nothing",
                got="its plugin did not start",
                fix="use a QEMU that was built with plugins (Debian: qemu-user)",
            )
        return [line.split() for line in out.read_text().splitlines()]


def counting_plugin() -> Path:
    """The counting plugin, compiled for this machine once."""
    toolchain = find_toolchain(host_target())

    def build(path: Path) -> None:
        options = ["-std=c11", "-O2", "-g0", "-shared", "-fPIC", str(_PLUGIN.resolve())]
        toolchain.run([*options, "-o", str(path.resolve())], path.parent)

    return cached_build(
        "icount", (*toolchain.command, toolchain.version, _PLUGIN.read_text()), build
    )


def _kind(mnemonic: str) -> str:
    fits = (kind for kind, pattern in _KINDS.items() if re.fullmatch(pattern, mnemonic))
    return next(fits, "other")
