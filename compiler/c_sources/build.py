"""A lowered program and its memory plan -> the C files of an artifact."""

from collections.abc import Mapping, Sequence
from importlib.metadata import version

from ... import __version__
from ...targets.microcontrollers import Microcontroller
from ..artifact import Artifact
from ..ir.program import Program
from ..library.build import call_rows, pass_row
from ..lowering.program import Lowered
from ..manifest import Manifest, Sizes, file_sha256
from ..planning import MemoryPlan
from ..scratch_folder import ScratchFolder
from .certificate import certificate_macros
from .constants import constant_bytes, emit_weights
from .header import emit_header
from .interface import interface_of
from .micro_kernels import emit_kernels
from .names import c_names
from .refusals import check_memory
from .source import emit_source

_PACKAGES = ("torch", "apache-tvm", "apache-tvm-ffi")


def build_sources(
    program: Program,
    lowered: Lowered,
    plan: MemoryPlan,
    *,
    source_sha256: str = "",
    stage_seconds: Mapping[str, float] | None = None,
) -> Artifact:
    """Write NAME.h, NAME.c, NAME_weights.c, NAME_kernels.h and the manifest.

    Args:
        program: After its passes; says what inputs and outputs are.
        lowered: Its layers, with one way for each.
        plan: Where its buffers are.
        source_sha256: Hash of the traced program, for the manifest.
        stage_seconds: Times of the compilation's stages, for the report.

    Raises:
        CompileError: A layer cannot be written in C, or the model does not fit the device.
    """
    core, name = lowered.target, lowered.name
    assert isinstance(core, Microcontroller), core
    names, interface = c_names(lowered), interface_of(program)
    check_memory(lowered, plan, constant_bytes(names.data))
    source = emit_source(lowered, plan, names, __version__)
    sizes = Sizes(
        library_bytes=0,
        code_bytes=0,
        weights_bytes=constant_bytes(names.data),
        arena_bytes=plan.arena_bytes,
        arena_lower_bound_bytes=plan.lower_bound_bytes,
        macs=sum(call.macs for call in lowered.calls),
    )
    macros = certificate_macros(name, sizes)
    files = {
        f"{name}.h": emit_header(name, core, interface, macros, __version__),
        f"{name}.c": source.text,
        f"{name}_weights.c": emit_weights(name, names.data, __version__),
        f"{name}_kernels.h": emit_kernels(name, source.kernels, __version__),
    }
    scratch = ScratchFolder(f"penjing-{name}-")
    for file, text in files.items():
        (scratch.path / file).write_text(text)
    manifest = Manifest(
        name=name,
        target=core,
        threads=1,
        weights="embed",
        inputs=interface.inputs,
        outputs=interface.outputs,
        passes=tuple(pass_row(report) for report in program.reports),
        calls=call_rows(lowered),
        sizes=sizes,
        tools={"penjing": __version__, **{package: version(package) for package in _PACKAGES}},
        source_sha256=source_sha256,
        files={file: file_sha256(scratch.path / file) for file in sorted(files)},
    )
    manifest.write(scratch.path / f"{name}.json")
    seconds: Sequence[float] = [report.seconds for report in program.reports]
    return Artifact(
        manifest=manifest,
        folder=scratch.path,
        pass_seconds=seconds,
        stage_seconds=stage_seconds or {},
        _keep=scratch,
    )
