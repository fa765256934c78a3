"""What each kernel of the networks executes on a Cortex-A72, exactly: read in review, see a change.

python -m benchmarks.kernels [NETWORK ...]

Rewrites kernels.json beside this file; without names for all networks, else for those alone. A line
is one kernel: its number, the operators and modules of its first call; how often it is called,
multiply-adds, bytes read and written, instructions of all calls together, and how many of those
load or store vectors on the stack in innermost loops. Calls of the C library are not in it, nor is
the entry function: they depend on the cross compiler.
"""

import json
from collections.abc import Iterable
from pathlib import Path

import penjing
from penjing.compiler.artifact import Artifact
from penjing.compiler.manifest import CallEntry

from .executed import Instruction, executed_functions
from .inner_loops import inner_loops
from .networks import build
from .table import parse_options

FILE = Path(__file__).with_name("kernels.json")
TARGET = "arm-a72"

Counts = dict[str, dict[str, int]]


def main() -> None:
    """Measure, and write the file."""
    options = parse_options(__doc__)
    kept: dict[str, Counts] = json.loads(FILE.read_text()) if FILE.exists() else {}
    for name in options.networks:
        kept[name] = kernel_counts(name)
        FILE.write_text(as_text(kept))


def kernel_counts(name: str) -> Counts:
    """Counts of every kernel of a network, and their sum as the first."""
    model, inputs = build(name)
    artifact = penjing.compile(model, inputs, target=TARGET)
    functions = executed_functions(artifact, inputs)
    rows = {
        _key(index, calls[0]): _counts(calls, functions.get(kernel, []))
        for index, (kernel, calls) in enumerate(_kernels(artifact).items())
    }
    return {"all": _sum(rows.values()), **rows}


def as_text(counts: dict[str, Counts]) -> str:
    """JSON with one line for each kernel, so that a change is one line of a diff."""
    networks = []
    for name in sorted(counts):
        rows = [f"  {json.dumps(key)}: {json.dumps(row)}" for key, row in counts[name].items()]
        networks.append(f" {json.dumps(name)}: {{\n" + ",\n".join(rows) + "\n }")
    return "{\n" + ",\n".join(networks) + "\n}\n"


def _kernels(artifact: Artifact) -> dict[str, list[CallEntry]]:
    """The calls of each kernel, in the order of the first calls."""
    kernels: dict[str, list[CallEntry]] = {}
    for call in artifact.manifest.calls:
        kernels.setdefault(call.kernel, []).append(call)
    return kernels


def _key(index: int, call: CallEntry) -> str:
    return f"{index:03d} {call}"


def _counts(calls: list[CallEntry], code: list[Instruction]) -> dict[str, int]:
    loops = inner_loops("", code)
    return {
        "calls": len(calls),
        "macs": sum(call.macs for call in calls),
        "bytes": sum(call.bytes for call in calls),
        "instructions": sum(instruction.executions for instruction in code),
        "spills": sum(loop.spills * loop.iterations for loop in loops),
    }


def _sum(rows: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for row in rows:
        for name, count in row.items():
            total[name] = total.get(name, 0) + count
    return total


if __name__ == "__main__":
    main()
