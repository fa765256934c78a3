"""What one inference executes on ARM, counted exactly by the emulator, and how good its loops are.

python -m benchmarks.arm [NETWORK ...] [--target arm-a72 ...] [--loops] [--json FILE]

A count is no time: it does not see caches or stalls. But it is the same on every machine, and a
vector kernel that executes fewer instructions for the same work is rarely the slower one.

Columns: the instructions of one inference on one thread, by kind, in per cent; `spills`, how many
of them load or store vectors on the stack in innermost loops; `of peak`, the share of the
multiply-adds' port limit that the innermost loops with multiply-adds reach together in llvm-mca,
and the worst of those that execute at least 2 % of the instructions; `of peer`, the instructions
as a share of those of the best other runtime. --loops lists every innermost loop that executes at
least 0.2 % of the instructions.
"""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

import penjing
from penjing.compiler.artifact import Artifact

from .executed import Instruction, executed_functions
from .inner_loops import Loop, Timing, inner_loops, time_loops
from .networks import build
from .peer_counts import best_peer
from .table import Row, parse_options, publish

_DRIVER = ("main", "syscall", "__syscall_error")  # between the marks, but not of the model
_KINDS = {  # the first that fits counts
    "multiply-adds": r"f(n?m(add|sub)|ml[as])|[su]dot|[su]m(ul|la|ls)l2?|[su]adalp",
    "loads": r"ld.*",
    "stores": r"st.*",
    "branches": r"b|b\..*|bl|blr|br|cbn?z|tbn?z|ret",
}
_VECTOR = re.compile(r"\b[vqdshb][0-9]+\b")
_LISTED, _HOT = 0.002, 0.02  # shares of all instructions


@dataclass(frozen=True, kw_only=True)
class Execution:
    """One inference: all instructions that ran, and the innermost loops with their timing."""

    instructions: int
    by_kind: dict[str, int]
    loops: tuple[tuple[Loop, Timing], ...]

    @property
    def spills(self) -> int:
        """Vector loads and stores on the stack that ran in innermost loops."""
        return sum(loop.spills * loop.iterations for loop, _ in self.loops)

    @property
    def of_peak(self) -> float:
        """Time of the multiply-adds at the port limit, by that of the loops that hold them."""
        busy = [(loop, timing) for loop, timing in self.loops if timing.peak_cycles]
        cycles = sum(loop.iterations * timing.cycles for loop, timing in busy)
        return sum(loop.iterations * t.peak_cycles for loop, t in busy) / max(cycles, 1)

    @property
    def worst_of_peak(self) -> float:
        """The least share of the port limit among the loops that matter."""
        shares = [
            timing.of_peak
            for loop, timing in self.loops
            if timing.peak_cycles and loop.executions >= _HOT * self.instructions
        ]
        return min(shares, default=1.0)


def main() -> None:
    """Count every network once for each target."""
    options = parse_options(__doc__, ["arm-a72", "arm-a76"], loops=True)
    rows: list[Row] = []
    loops: list[Row] = []
    for name in options.networks:
        network = build(name)
        for target in options.target:
            artifact = penjing.compile(*network, target=target)
            execution = execute(artifact, network[1])
            rows.append(_row(name, artifact, execution))
            loops += _loop_rows(name, artifact, execution)
    if options.loops:
        publish(loops, None)
        print()
    publish(rows, options.json)


def execute(artifact: Artifact, inputs: Sequence[torch.Tensor]) -> Execution:
    """Run the model once under the emulator and look at all that it executed."""
    functions = executed_functions(artifact, inputs)
    code = [row for name, rows in functions.items() if name not in _DRIVER for row in rows]
    kernels = dict.fromkeys(call.kernel for call in artifact.manifest.calls)
    loops = [loop for kernel in kernels for loop in inner_loops(kernel, functions.get(kernel, []))]
    timings = time_loops(loops, artifact.manifest.target)
    return Execution(
        instructions=sum(instruction.executions for instruction in code),
        by_kind=_by_kind(code),
        loops=tuple(zip(loops, timings, strict=True)),
    )


def _by_kind(code: Iterable[Instruction]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for instruction in code:
        counts[_kind(instruction)] += instruction.executions
    return {kind: counts[kind] for kind in (*_KINDS, "other vector", "other scalar")}


def _kind(instruction: Instruction) -> str:
    for kind, pattern in _KINDS.items():
        if re.fullmatch(pattern, instruction.mnemonic):
            return kind
    return "other vector" if _VECTOR.search(instruction.operands) else "other scalar"


def _row(name: str, artifact: Artifact, execution: Execution) -> Row:
    target, macs, total = (
        artifact.manifest.target.name,
        artifact.report.macs,
        execution.instructions,
    )
    peer = best_peer(name, target)
    return {
        "network": name,
        "target": target,
        "macs": macs,
        "instructions": total,
        "per mac": total / macs,
        **{f"{kind} %": 100 * count / total for kind, count in execution.by_kind.items()},
        "spills": execution.spills,
        "of peak": execution.of_peak,
        "worst loop": execution.worst_of_peak,
        "best peer": f"{peer[0]} {peer[1] / 1e6:.2f} M" if peer else None,
        "of peer": total / peer[1] if peer else None,
    }


def _loop_rows(name: str, artifact: Artifact, execution: Execution) -> list[Row]:
    calls = {call.kernel: str(call) for call in reversed(artifact.manifest.calls)}
    return [
        {
            "network": name,
            "target": artifact.manifest.target.name,
            "loop": f"{loop.function}+{index}",
            "of all %": 100 * loop.executions / execution.instructions,
            "iterations": loop.iterations,
            "length": len(loop.body),
            "multiply-adds": len(loop.multiply_adds),
            "spills": loop.spills,
            "cycles": timing.cycles,
            "of peak": timing.of_peak if timing.peak_cycles else None,
            "operators": calls[loop.function],
        }
        for index, (loop, timing) in enumerate(execution.loops)
        if loop.executions >= _LISTED * execution.instructions
    ]


if __name__ == "__main__":
    main()
