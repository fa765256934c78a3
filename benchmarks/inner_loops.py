"""The innermost loops of machine code for ARM: how often they run, and how fast at best.

A loop is innermost if no jump back lies inside it. Cycles are those of `llvm-mca`, which models the
ports and latencies of a core but no caches: a bound that no machine beats, which good kernels come
near.
"""

import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from penjing.compiler.errors import CompileError
from penjing.targets.target import Target

from .executed import Instruction

# LLVM describes the A76 by the core of servers that was made of it; its own name has older numbers.
_MODELS = {"arm-a76": "neoverse-n1", "arm-a78": "neoverse-n1", "arm-x1": "neoverse-n1"}
_VERSIONS = range(30, 15, -1)  # older ones have no model of the Neoverse N1
_ITERATIONS = 200
_MULTIPLY_ADD = re.compile(r"f(n?m(add|sub)|ml[as])\b")
_SPILL = re.compile(r"(ld|st)[pru]+\t[qds]\d.*\[sp")
_JUMP = re.compile(r"(b\.\w+|b|cbn?z|tbn?z)\t(?:.*, )?([0-9a-f]+) <")
_TARGET = re.compile(r"[0-9a-f]+ <[^>]*>")
_REGION = re.compile(r"Code Region - (\w+)\n.*?Total Cycles: +(\d+)", re.DOTALL)


@dataclass(frozen=True)
class Loop:
    """One innermost loop."""

    function: str
    body: tuple[Instruction, ...]

    @property
    def iterations(self) -> int:
        """How often it ran through."""
        return self.body[-1].executions

    @property
    def executions(self) -> int:
        """Instructions that ran in it."""
        return sum(instruction.executions for instruction in self.body)

    @property
    def multiply_adds(self) -> tuple[str, ...]:
        """Its floating point multiply-adds."""
        return tuple(i.text for i in self.body if _MULTIPLY_ADD.match(i.text))

    @property
    def spills(self) -> int:
        """Its loads and stores of vectors on the stack."""
        return sum(bool(_SPILL.match(instruction.text)) for instruction in self.body)


@dataclass(frozen=True)
class Timing:
    """How long one iteration takes on a core that finds all data in its first cache."""

    cycles: float
    peak_cycles: float  # the same multiply-adds, with nothing else to do; 0 = there are none

    @property
    def of_peak(self) -> float:
        """Share of the multiply-adds' port limit that the loop reaches."""
        return self.peak_cycles / self.cycles


def inner_loops(function: str, code: Sequence[Instruction]) -> list[Loop]:
    """The innermost loops of a function that ran, in the order of the code."""
    place = {instruction.address: index for index, instruction in enumerate(code)}
    spans: dict[int, int] = {}
    for index, instruction in enumerate(code):
        if jump := _JUMP.match(instruction.text):
            start = place.get(int(jump[2], 16), len(code))
            if start <= index:
                spans[start] = index
    innermost = [
        (start, end)
        for start, end in sorted(spans.items())
        if not any(start <= other <= end and other != start for other in spans)
    ]
    loops = [Loop(function, tuple(code[start : end + 1])) for start, end in innermost]
    return [loop for loop in loops if loop.executions]


def time_loops(loops: Sequence[Loop], target: Target) -> list[Timing]:
    """The cycles of each loop on the core of `target`."""
    regions = {f"loop{index}": _loop_text(loop) for index, loop in enumerate(loops)}
    regions |= {"vector": _peak_text("fmla\tv{}.4s, v30.4s, v31.4s")}
    regions |= {"scalar": _peak_text("fmadd\ts{0}, s30, s31, s{0}")}
    cycles = _analyze(regions, target)
    vector, scalar = cycles["vector"] / _INDEPENDENT, cycles["scalar"] / _INDEPENDENT
    timings = []
    for index, loop in enumerate(loops):
        adds = [scalar if text.startswith(("fm", "fn")) else vector for text in _kinds(loop)]
        timings.append(Timing(cycles[f"loop{index}"], sum(adds)))
    return timings


_INDEPENDENT = 24  # more than latency times ports of any core


def _kinds(loop: Loop) -> list[str]:
    """Multiply-adds; those of vectors begin with "v"."""
    return [text.replace("fmla", "v").replace("fmls", "v") for text in loop.multiply_adds]


def _peak_text(instruction: str) -> list[str]:
    return [instruction.format(register) for register in range(_INDEPENDENT)]


def _loop_text(loop: Loop) -> list[str]:
    return [_TARGET.sub("top", instruction.text) for instruction in loop.body]


def _analyze(regions: dict[str, list[str]], target: Target) -> dict[str, float]:
    """Cycles of one iteration of each region."""
    lines = ["top:"]
    for name, text in regions.items():
        lines += [f"# LLVM-MCA-BEGIN {name}", *text, "# LLVM-MCA-END"]
    arguments = [
        f"-mtriple={target.triple}",
        f"-mcpu={_MODELS.get(target.name, target.llvm_cpu)}",
        f"-mattr={','.join(target.features)}",
        f"-iterations={_ITERATIONS}",
        "-instruction-info=0",
        "-resource-pressure=0",
    ]
    source = "\n".join([*lines, ""])
    done = subprocess.run(
        [find_analyzer(), *arguments], input=source, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise CompileError("llvm-mca cannot read the machine code", got=done.stderr.strip()[:400])
    return {name: int(total) / _ITERATIONS for name, total in _REGION.findall(done.stdout)}


@cache
def find_analyzer() -> str:
    """The newest llvm-mca of this machine."""
    found = (shutil.which(f"llvm-mca-{version}") for version in _VERSIONS)
    command = next((path for path in found if path), None)
    if command is None:
        raise CompileError(
            "timing loops needs llvm-mca of LLVM 16 or newer",
            got="none is installed",
            fix="install it (Debian: llvm-19)",
        )
    return command
