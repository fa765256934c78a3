"""A lowered program, its memory plan and its kernels -> the files of an artifact."""

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from ... import __version__
from ..artifact import Artifact
from ..lowering.program import Call, Lowered
from ..manifest import CallEntry, Manifest, Sizes, TensorEntry, file_sha256
from ..pass_report import PassReport
from ..planning import MemoryPlan
from ..scratch_folder import ScratchFolder
from ..toolchain import Toolchain, find_toolchain
from .archive import write_archive
from .constants import HEADER_BYTES, Constants, pack_constants
from .elf import Elf
from .entry import emit_entry
from .header import emit_header, input_specs, output_specs
from .link import Sources, check_library, compile_objects, link_library

_PACKAGES = ("torch", "apache-tvm", "apache-tvm-ffi")


def build_library(
    lowered: Lowered,
    plan: MemoryPlan,
    kernels: bytes,
    *,
    weights: str = "embed",
    passes: Sequence[PassReport] = (),
    source_sha256: str = "",
    stage_seconds: Mapping[str, float] | None = None,
) -> Artifact:
    """Emit, compile, link and check the library of a program.

    Args:
        lowered: The program.
        plan: Where its buffers are.
        kernels: One object file with the kernels.
        weights: "embed" puts them into the library, "file" into NAME.weights beside it; without
            any weights there is no file.
        passes: What the passes did, for the report.
        source_sha256: Hash of the program's text and weights, for the manifest.
        stage_seconds: Times of the compilation's stages, for the report.

    Raises:
        CompileError: There is no C compiler for the target.
    """
    toolchain = find_toolchain(lowered.target)
    constants = pack_constants(lowered)
    scratch = ScratchFolder(f"penjing-{lowered.name}-")
    folder = scratch.path
    in_file = weights == "file" and bool(constants.data)
    _build_files(lowered, plan, constants, kernels, in_file, toolchain, folder)
    return make_artifact(
        lowered,
        call_rows(lowered.calls),
        library_sizes(lowered, plan, constants, folder / f"lib{lowered.name}.so"),
        toolchain,
        scratch,
        weights="file" if in_file else "embed",
        passes=passes,
        source_sha256=source_sha256,
        stage_seconds=stage_seconds,
    )


def make_artifact(
    lowered: Lowered,
    calls: tuple[CallEntry, ...],
    sizes: Sizes,
    toolchain: Toolchain,
    scratch: ScratchFolder,
    *,
    weights: str = "embed",
    passes: Sequence[PassReport] = (),
    source_sha256: str = "",
    stage_seconds: Mapping[str, float] | None = None,
) -> Artifact:
    """The artifact of files that are in a folder, described by a manifest beside them."""
    folder = scratch.path
    manifest = Manifest(
        name=lowered.name,
        target=lowered.target,
        threads=lowered.threads,
        weights=weights,
        inputs=tuple(TensorEntry(name=n, spec=s) for n, s in input_specs(lowered)),
        outputs=tuple(TensorEntry(name=n, spec=s) for n, s in output_specs(lowered)),
        passes=tuple(pass_row(report) for report in passes),
        calls=calls,
        sizes=sizes,
        tools=_tools(toolchain),
        source_sha256=source_sha256,
        files={path.name: file_sha256(path) for path in sorted(folder.iterdir())},
    )
    manifest.write(folder / f"{lowered.name}.json")
    return Artifact(
        manifest=manifest,
        folder=folder,
        pass_seconds=[report.seconds for report in passes],
        stage_seconds=stage_seconds or {},
        _keep=scratch,
    )


def _build_files(
    lowered: Lowered,
    plan: MemoryPlan,
    constants: Constants,
    kernels: bytes,
    in_file: bool,
    toolchain: Toolchain,
    folder: Path,
) -> None:
    """Fill `folder` with NAME.h, NAME.c, libNAME.so, libNAME.a and perhaps NAME.weights."""
    name, threads = lowered.name, lowered.threads
    file_bytes = HEADER_BYTES + len(constants.data) if in_file else 0
    sources = Sources(
        name=name,
        header=emit_header(
            lowered, arena_bytes=plan.arena_bytes, weights_file=file_bytes, version=__version__
        ),
        entry=emit_entry(lowered, plan, constants, weights_file=file_bytes, version=__version__),
        weights=b"" if in_file else constants.data,
        kernels=kernels,
        threads=threads,
    )
    if in_file:
        with (folder / f"{name}.weights").open("wb") as weights:
            weights.writelines((constants.file_header(), constants.data))
    with tempfile.TemporaryDirectory(prefix="penjing-build-") as work:
        objects = compile_objects(toolchain, sources, Path(work))
        library = link_library(toolchain, name, objects, threads=threads)
        check_library(library, name, threads=threads)
        write_archive(folder / f"lib{name}.a", objects)
        for file in (library, Path(work, f"{name}.c"), Path(work, f"{name}.h")):
            shutil.move(file, folder / file.name)


def library_sizes(lowered: Lowered, plan: MemoryPlan, constants: Constants, library: Path) -> Sizes:
    """Totals of a linked program."""
    return Sizes(
        library_bytes=library.stat().st_size,
        code_bytes=Elf.open(library).section_bytes(".text"),
        weights_bytes=len(constants.data),
        arena_bytes=plan.arena_bytes,
        arena_lower_bound_bytes=plan.lower_bound_bytes,
        macs=sum(call.macs for call in lowered.calls),
    )


def call_rows(calls: Sequence[Call]) -> tuple[CallEntry, ...]:
    """What each call does, for the manifest."""
    return tuple(
        CallEntry(
            kernel=call.kernel,
            macs=call.macs,
            bytes=call.bytes,
            ops=call.ops,
            modules=call.modules,
        )
        for call in calls
    )


def pass_row(report: PassReport) -> dict[str, object]:
    """What a pass did, without its time: a manifest is the same for every build."""
    return {key: value for key, value in report.as_dict().items() if key != "seconds"}


def _tools(toolchain: Toolchain) -> dict[str, str]:
    packages = {package: version(package) for package in _PACKAGES}
    return {"penjing": __version__, **packages, "c compiler": toolchain.version}
