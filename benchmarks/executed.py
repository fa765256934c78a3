"""What one inference executes, instruction by instruction, from the emulator."""

import re
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from penjing.compiler.artifact import Artifact
from penjing.compiler.errors import CompileError
from penjing.compiler.input_arrays import as_arrays
from penjing.compiler.library.archive import extract_archive
from penjing.compiler.runners.counting import count_blocks
from penjing.compiler.runners.emulator import find_emulator
from penjing.compiler.runners.process import ModelProcess, linked_driver
from penjing.compiler.toolchain import find_toolchain

_FUNCTION = re.compile(r"^[0-9a-f]+ <(.+)>:$")
_INSTRUCTION = re.compile(r"^ *([0-9a-f]+):\t([^/;]+)")


@dataclass(frozen=True)
class Instruction:
    """One instruction of a program, and how often it ran."""

    address: int
    text: str  # as the disassembler has it: mnemonic, tab, operands
    executions: int

    @property
    def mnemonic(self) -> str:
        """The first word."""
        return self.text.split(None, 1)[0]

    @property
    def operands(self) -> str:
        """All after the first word."""
        return self.text.partition("\t")[2]


def executed_functions(
    artifact: Artifact, inputs: Sequence[torch.Tensor]
) -> dict[str, list[Instruction]]:
    """The instructions of every function that one inference runs, by the function's name."""
    manifest = artifact.manifest
    with tempfile.TemporaryDirectory(prefix="penjing-executed-") as name:
        folder = Path(name)
        objects = extract_archive(artifact.folder / f"lib{manifest.name}.a", folder)
        toolchain = find_toolchain(manifest.target)
        program = linked_driver(toolchain, manifest.name, objects, folder / "driver")
        emulator = find_emulator(manifest.target)
        process = ModelProcess(
            manifest=manifest, program=program, library=None, weights=None, emulator=emulator
        )
        blocks = count_blocks(process, as_arrays(inputs, {}, manifest.inputs))
        return _with_counts(_disassemble(program, manifest.target.gnu_prefix), blocks)


def _disassemble(program: Path, prefix: str) -> dict[str, list[tuple[int, str]]]:
    """Address and text of the instructions of every function."""
    command = shutil.which(f"{prefix}objdump")
    if command is None:
        raise CompileError(
            "reading machine code needs a disassembler",
            got=f"no {prefix}objdump",
            fix="install the target's GNU binutils (Debian: binutils-aarch64-linux-gnu)",
        )
    arguments = [command, "-d", "--no-show-raw-insn", str(program)]
    text = subprocess.run(arguments, capture_output=True, text=True, check=True).stdout
    functions: dict[str, list[tuple[int, str]]] = {}
    rows: list[tuple[int, str]] = []
    for line in text.splitlines():
        if start := _FUNCTION.match(line):
            rows = functions.setdefault(start[1], [])
        elif instruction := _INSTRUCTION.match(line):
            rows.append((int(instruction[1], 16), instruction[2].strip()))
    return functions


def _with_counts(
    functions: dict[str, list[tuple[int, str]]], blocks: Sequence[tuple[int, int, int]]
) -> dict[str, list[Instruction]]:
    """Distribute the executions of blocks to their instructions; drop functions that never ran."""
    order = sorted(address for rows in functions.values() for address, _ in rows)
    place = {address: index for index, address in enumerate(order)}
    executions: Counter[int] = Counter()
    for address, length, times in blocks:
        if address not in place:  # code that the disassembler knows no name of
            continue
        for index in range(place[address], place[address] + length):
            executions[order[index]] += times
    return {
        name: [Instruction(address, text, executions[address]) for address, text in rows]
        for name, rows in functions.items()
        if any(executions[address] for address, _ in rows)
    }
