"""A lowered program and its memory plan -> the C files of an artifact."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version

from ... import __version__
from ...targets.microcontrollers import Microcontroller
from ..artifact import Artifact
from ..ir.program import Program
from ..library.build import call_rows, pass_row
from ..lowering.program import Lowered
from ..manifest import Manifest, Sizes, file_sha256
from ..planning import MemoryPlan
from ..resources.certificate import Certificate
from ..resources.fit import check_flash, check_ram
from ..resources.measure import measure
from ..runners.boards.model import BoardModel
from ..scratch_folder import ScratchFolder
from .constants import constant_bytes, emit_weights
from .feed_row import row_stream
from .header import emit_header
from .interface import Interface, interface_of
from .micro_kernels import emit_kernels
from .names import CNames, c_names
from .source import emit_source

_PACKAGES = ("torch", "apache-tvm", "apache-tvm-ffi")


def build_sources(
    program: Program,
    lowered: Lowered,
    plan: MemoryPlan,
    *,
    certify: bool = True,
    advice: Sequence[str] = (),
    source_sha256: str = "",
    stage_seconds: Mapping[str, float] | None = None,
) -> Artifact:
    """Write NAME.h, NAME.c, NAME_weights.c, NAME_kernels.h and the manifest.

    Args:
        program: After its passes; says what inputs and outputs are.
        lowered: Its layers, with one way for each.
        plan: Where its buffers are.
        certify: Whether to compile and run the files, if there are the tools, to learn how much
            stack and code they need and what they execute.
        advice: What would make the model need less memory.
        source_sha256: Hash of the traced program, for the manifest.
        stage_seconds: Times of the compilation's stages, for the report.

    Raises:
        CompileError: A layer cannot be written in C, or the model does not fit the device.
    """
    core, name = lowered.target, lowered.name
    assert isinstance(core, Microcontroller), core
    interface = interface_of(program)
    files, certificate = _certified_files(lowered, plan, interface, certify, advice)
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
        calls=call_rows(lowered.calls),
        sizes=_sizes(certificate),
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


def _certified_files(
    lowered: Lowered,
    plan: MemoryPlan,
    interface: Interface,
    certify: bool,
    advice: Sequence[str],
) -> tuple[dict[str, str], Certificate]:
    """Names and texts of the C files, and what they need."""
    core, name, names = lowered.target, lowered.name, c_names(lowered)
    assert isinstance(core, Microcontroller), core
    places = [plan.offsets[name] for name in lowered.inputs if name in plan.offsets]
    stream = row_stream(lowered, plan)

    def header(certificate: Certificate) -> str:
        check_ram(lowered, plan, certificate, core, advice)
        check_flash(lowered, certificate, core)
        macros = certificate.macros(name, core)
        return emit_header(name, core, interface, macros, __version__, stream, places)

    certificate = _certificate(lowered, plan, names)
    top = header(certificate)
    source = emit_source(lowered, plan, names, __version__)
    files = {
        f"{name}.h": top,
        f"{name}.c": source.text,
        f"{name}_weights.c": emit_weights(name, names.data, __version__),
        f"{name}_kernels.h": emit_kernels(name, source.kernels, source.text, __version__),
    }
    if certify:
        measured = measure(_board_model(lowered, plan, files))
        certificate = replace(certificate, measured=measured)
        files[f"{name}.h"] = header(certificate)
    return files, certificate


def _certificate(lowered: Lowered, plan: MemoryPlan, names: CNames) -> Certificate:
    """What can be known without compiling the files."""

    def size(values: Sequence[str]) -> int:
        return sum(lowered.values[name].spec.nbytes for name in values)

    return Certificate(
        arena_bytes=plan.arena_bytes,
        arena_bound_bytes=plan.lower_bound_bytes,
        input_bytes=size([name for name in lowered.inputs if name not in plan.offsets]),
        output_bytes=size(lowered.outputs),
        weights_bytes=constant_bytes(names.data),
        macs=sum(call.macs for call in lowered.calls),
    )


def _sizes(certificate: Certificate) -> Sizes:
    measured = certificate.measured
    return Sizes(
        library_bytes=0,
        code_bytes=measured.code_bytes or 0,
        weights_bytes=certificate.weights_bytes,
        arena_bytes=certificate.arena_bytes,
        arena_lower_bound_bytes=certificate.arena_bound_bytes,
        macs=certificate.macs,
        stack_bytes=measured.stack.bytes if measured.stack else 0,
        instructions=measured.instructions or 0,
    )


def _board_model(lowered: Lowered, plan: MemoryPlan, files: Mapping[str, str]) -> BoardModel:
    core = lowered.target
    assert isinstance(core, Microcontroller), core
    sizes = [
        tuple(lowered.values[name].spec.nbytes for name in names)
        for names in (lowered.inputs, lowered.outputs)
    ]
    return BoardModel(
        name=lowered.name,
        core=core,
        sources=files,
        input_bytes=sizes[0],
        output_bytes=sizes[1],
        arena_bytes=plan.arena_bytes,
    )
