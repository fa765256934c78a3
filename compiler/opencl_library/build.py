"""A program lowered for a GPU and its CPU, and its memory plan -> the files of an artifact."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ... import __version__
from ...targets.mobile_gpus import MobileGpu
from ..artifact import Artifact
from ..library.archive import write_archive
from ..library.build import library_sizes, make_artifact
from ..library.constants import Constants, pack_constants
from ..lowering.program import Lowered
from ..pass_report import PassReport
from ..planning import MemoryPlan
from ..scratch_folder import ScratchFolder
from ..toolchain import Toolchain, find_toolchain
from .entry import emit_entry
from .header import emit_header
from .link import Sources, compile_objects, link
from .source import join_source
from .steps import launches_of, step_rows


def build_opencl_library(
    lowered: Lowered,
    plan: MemoryPlan,
    machine_code: bytes,
    *,
    passes: Sequence[PassReport] = (),
    source_sha256: str = "",
) -> Artifact:
    """Emit, compile, link and check the library of a program.

    Args:
        lowered: The program, with a device kernel for every call.
        plan: Where its buffers are, on the device and on the CPU.
        machine_code: One object file with the CPU's kernels.
        passes: What the passes did, for the report.
        source_sha256: Hash of the program's text and weights, for the manifest.

    Raises:
        CompileError: There is no C compiler for the CPU.
    """
    toolchain = find_toolchain(lowered.target)
    constants = pack_constants(lowered)
    scratch = ScratchFolder(f"penjing-{lowered.name}-")
    folder = scratch.path
    _build_files(lowered, plan, constants, machine_code, toolchain, folder)
    return make_artifact(
        lowered,
        step_rows(lowered),
        library_sizes(lowered, plan, constants, folder / f"lib{lowered.name}.so"),
        toolchain,
        scratch,
        passes=passes,
        source_sha256=source_sha256,
    )


def _build_files(
    lowered: Lowered,
    plan: MemoryPlan,
    constants: Constants,
    machine_code: bytes,
    toolchain: Toolchain,
    folder: Path,
) -> None:
    """Fill `folder` with NAME.h, NAME.c, NAME.cl, libNAME.so and libNAME.a."""
    name, gpu, source = lowered.name, lowered.target, join_source(lowered)
    assert isinstance(gpu, MobileGpu), gpu
    launches = sum(1 for _ in launches_of(lowered))
    sources = Sources(
        name=name,
        header=emit_header(
            lowered, arena_bytes=plan.arena_bytes, launches=launches, version=__version__
        ),
        entry=emit_entry(lowered, plan, constants, source, __version__),
        weights=constants.data,
        source=source.text,
        kernels=machine_code,
    )
    (folder / f"{name}.cl").write_bytes(source.text)
    with tempfile.TemporaryDirectory(prefix="penjing-build-") as work:
        objects = compile_objects(toolchain, sources, Path(work))
        library = link(toolchain, name, objects, os=gpu.os)
        write_archive(folder / f"lib{name}.a", objects)
        for file in (library, Path(work, f"{name}.c"), Path(work, f"{name}.h")):
            shutil.move(file, folder / file.name)
