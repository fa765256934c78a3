"""Runs of device kernels on the device of this machine, or under a checker."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penjing.targets.opencl.kernel import DeviceKernel
from penjing.targets.opencl.preamble import preamble
from tests.opencl.device import Array, Device, find_device

_BYTES = {"bool": 1, "int8": 1, "uint8": 1, "int16": 2, "uint16": 2, "float16": 2, "bfloat16": 2}
_BYTES |= {"int32": 4, "uint32": 4, "float32": 4, "int64": 8, "uint64": 8, "float64": 8}
_ROOT = Path(__file__).parents[2]
_CHECKS = ("--data-races", "--uninitialized")


def device() -> Device:
    """The device that tests run on; skips the test if there is none."""
    found = find_device()
    if found is None:
        pytest.skip("needs an OpenCL device (pocl-opencl-icd)")
    return found


def source_of(kernels: Iterable[DeviceKernel]) -> str:
    """Kernels, and before them the functions that they call."""
    made = list(kernels)
    helpers = frozenset().union(*(kernel.helpers for kernel in made))
    extensions = frozenset().union(*(kernel.extensions for kernel in made))
    return "\n".join([preamble(helpers, extensions), *(kernel.source for kernel in made)])


def run_kernel(
    kernel: DeviceKernel, arrays: Sequence[Array], offsets: Sequence[int] = (), program: Any = None
) -> list[Array]:
    """The arrays after the kernel's launches.

    Args:
        kernel: What to run; its workspaces come after the arrays.
        arrays: What it reads and writes, of any dtype.
        offsets: Elements into each array where the kernel's value begins.
        program: What a device built of a text with the kernel in it, if there is one already.
    """
    where = device()
    values, starts = _arguments(kernel, arrays, offsets)
    built = program or where.build(source_of([kernel]))
    results = where.run(built, kernel.launches, values, starts)
    if program is None:
        where.release(built)
    return results[: len(arrays)]


def check_kernel(
    kernel: DeviceKernel, arrays: Sequence[Array], offsets: Sequence[int], folder: Path
) -> list[Array]:
    """As `run_kernel`, in a simulator that sees accesses out of bounds, races and unset values."""
    values, starts = _arguments(kernel, arrays, offsets)
    job = {
        "source": source_of([kernel]),
        # It does not know all that LLVM makes, nor functions of devices that its clang names.
        "options": "-cl-std=CL1.2 -cl-opt-disable -DPENJING_PORTABLE",
        "launches": [asdict(launch) for launch in kernel.launches],
        "starts": list(starts),
    }
    (folder / "job.json").write_text(json.dumps(job))
    np.savez(folder / "arrays.npz", *values)
    log = folder / "log.txt"
    command = ["oclgrind", *_CHECKS, "--log", str(log), sys.executable, "-m", "tests.opencl.replay"]
    subprocess.run([*command, str(folder)], cwd=_ROOT, check=True)
    problems = log.read_text().strip() if log.exists() else ""
    assert not problems, f"{problems[:4000]}\n{kernel.source}"
    with np.load(folder / "results.npz") as found:
        return [found[f"arr_{index}"] for index in range(len(arrays))]


def has_checker() -> bool:
    """Whether the simulator is there."""
    return shutil.which("oclgrind") is not None


def _arguments(
    kernel: DeviceKernel, arrays: Sequence[Array], offsets: Sequence[int]
) -> tuple[list[Array], list[int]]:
    """All buffers of a kernel, its workspaces too, and where values begin in them."""
    scratch = [np.zeros(count * _BYTES[dtype], "uint8") for count, dtype in kernel.workspaces]
    starts = list(offsets) if len(offsets) else [0 for _ in arrays]
    return [*arrays, *scratch], [*starts, *(0 for _ in scratch)]
