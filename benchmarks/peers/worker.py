"""Runs one network in one runtime when told to, and says how long it took.

python -m benchmarks.peers.worker RUNTIME FOLDER THREADS CORES

Writes one line of JSON when the model is loaded and its outputs are computed, then one for each
line on stdin: "N" = run N times.
"""

import json
import os
import sys
import time
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from .sessions import SESSIONS

# Loaded before memory is measured: these Python packages need torch, their runtimes do not.
_BEFORE = {"executorch": ("torch", "executorch.exir._warnings")}


def main() -> None:
    """Serve until stdin ends."""
    runtime, folder, threads, cores = sys.argv[1], Path(sys.argv[2]), *sys.argv[3:5]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what runtimes print is none of the answers
    os.sched_setaffinity(0, set(map(int, cores.split(","))))
    inputs = _values(folder / "inputs.npz")
    for module in _BEFORE.get(runtime, ()):
        import_module(module)
    before, libraries = _resident("VmRSS"), _libraries()
    _reset_peak()
    try:
        run, outputs = SESSIONS[runtime](folder, inputs, int(threads))
        loaded = _resident("VmHWM")
        for _ in range(2):
            run()
        error = _difference(outputs(), _values(folder / "expected.npz"))
    except Exception as failure:
        _say(answers, {"refused": f"{type(failure).__name__}: {failure}"[:160]})
        return
    added = _libraries() - libraries
    facts = {
        "error": error,
        "peak bytes": _resident("VmHWM") - before,
        "loaded bytes": loaded - before,
        "runtime bytes": sum(path.stat().st_size for path in added),
    }
    _say(answers, facts)
    for line in sys.stdin:
        _say(answers, _time(run, int(line)))


def _time(run: Any, times: int) -> dict[str, Any]:
    wall: list[int] = []
    start = time.process_time_ns()
    for _ in range(times):
        begin = time.perf_counter_ns()
        run()
        wall.append(time.perf_counter_ns() - begin)
    return {"wall": wall, "cpu": (time.process_time_ns() - start) / times}


def _difference(outputs: list[np.ndarray], expected: list[np.ndarray]) -> float:
    """Largest difference of an output, as a share of its largest value."""
    if len(outputs) != len(expected):
        raise ValueError(f"{len(outputs)} outputs instead of {len(expected)}")
    return max(
        float(np.abs(np.asarray(got).reshape(wanted.shape) - wanted).max() / np.abs(wanted).max())
        for got, wanted in zip(outputs, expected, strict=True)
    )


def _values(path: Path) -> list[np.ndarray]:
    with np.load(path) as file:
        return [file[name] for name in sorted(file)]


def _resident(field: str) -> int:
    """Bytes of this process in memory: now (VmRSS) or at most (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def _libraries() -> set[Path]:
    """Shared libraries of Python packages that this process has mapped."""
    rows = [line.split(maxsplit=5) for line in Path("/proc/self/maps").read_text().splitlines()]
    paths = {Path(row[5]) for row in rows if len(row) == 6}
    return {path for path in paths if ".so" in path.name and "site-packages" in path.parts}


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _say(answers: Any, what: dict[str, Any]) -> None:
    answers.write(json.dumps(what) + "\n")
    answers.flush()


if __name__ == "__main__":
    main()
