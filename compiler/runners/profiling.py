"""Measures every kernel call of a model: instructions under an emulator, else nanoseconds."""

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from ..library.archive import extract_archive
from ..library.link import compile_source, link_library
from ..manifest import Manifest
from ..toolchain import find_toolchain
from .counting import count_steps
from .emulator import Emulator
from .process import ModelProcess, linked_driver, loading_driver

_RUNS = 20  # of which the fastest counts


def profile_steps(
    manifest: Manifest,
    folder: Path,
    weights: Path | None,
    emulator: Emulator | None,
    arrays: Sequence[np.ndarray],
) -> list[int]:
    """One number per kernel call, from a build of the model that tells about its steps.

    Args:
        manifest: What the model is.
        folder: Where its files are.
        weights: The separate weights file, if there is one.
        emulator: Counts instructions; None = take the time on this CPU.
        arrays: The inputs, as the library takes them.
    """
    with tempfile.TemporaryDirectory(prefix="penjing-profile-") as name:
        process = _measuring_process(manifest, folder, weights, emulator, Path(name))
        if emulator is not None:
            return count_steps(process, arrays)
        times = Path(name, "times")
        process.run(arrays, runs=_RUNS, times=times, threads=manifest.threads)
        return _fastest(times.read_text())


def _measuring_process(
    manifest: Manifest,
    folder: Path,
    weights: Path | None,
    emulator: Emulator | None,
    work: Path,
) -> ModelProcess:
    """The model with its entry compiled anew: the kernels are those of the static library."""
    toolchain, name = find_toolchain(manifest.target), manifest.name
    objects = extract_archive(folder / f"lib{name}.a", work)
    for suffix in (".c", ".h"):
        (work / (name + suffix)).write_bytes((folder / (name + suffix)).read_bytes())
    compile_source(toolchain, work / f"{name}.c", "entry.o", "-DPENJING_PROFILE")
    if emulator is None or emulator.has_libc:
        library = link_library(toolchain, name, objects, threads=manifest.threads)
        program = loading_driver(toolchain)
    else:
        library = None
        program = linked_driver(toolchain, name, objects, work / "driver")
    return ModelProcess(
        manifest=manifest, program=program, library=library, weights=weights, emulator=emulator
    )


def _fastest(lines: str) -> list[int]:
    """Nanoseconds of each call in its fastest run, from lines "step CALL NANOSECONDS"."""
    rows = [tuple(map(int, line.split()[1:])) for line in lines.splitlines()]
    best: dict[int, int] = {}
    for (call, start), (following, end) in pairwise(rows):
        if following == call + 1:
            best[call] = min(best.get(call, end - start), end - start)
    return [best[call] for call in sorted(best)]
