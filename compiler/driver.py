"""`compile`: a model in, a library out."""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from .. import targets
from ..passes.pipeline import cpu_pipeline, microcontroller_pipeline
from ..passes.reduce_precision import ReducePrecision
from ..targets.microcontrollers import Microcontroller
from ..targets.mobile_gpus import MobileGpu
from ..targets.target import Target
from .artifact import Artifact
from .errors import CompileError
from .frontend.trace import trace
from .ir.program import Program
from .library.build import build_library
from .lowering.options import KernelOptions, half_arithmetic
from .pass_base import Pass
from .pass_context import Evaluate
from .pass_manager import optimize
from .pass_text import parse
from .planning import plan_memory

Progress = Callable[[str, float], None]
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def compile(
    model: Any,
    example_inputs: Any = None,
    *,
    target: str | Target,
    shapes: Mapping[str, tuple[int, ...] | int] | None = None,
    passes: str | Sequence[Pass | str] = (),
    calibration: Iterable[Any] | None = None,
    evaluate: Evaluate | None = None,
    name: str = "model",
    threads: int = 1,
    winograd: int | None = None,
    half: str = "storage",
    precision: str | None = None,
    weights: str = "embed",
    stream: bool = False,
    reuse_inputs: bool = False,
    certify: bool = True,
    print_after: str | None = None,
    stop_at: int | None = None,
    dump_dir: str | Path | None = None,
    progress: Progress | None = None,
) -> Artifact:
    """Compile a model to a dependency-free library.

    Args:
        model: An `nn.Module`, `torch.export.ExportedProgram`, `Program`, or an ONNX model: the path
            of its file, an `onnx.ModelProto` or an `onnx_graphsurgeon.Graph`.
        example_inputs: Tensors with the shapes and dtypes to compile for: a tuple, or a dict for
            keyword inputs. May be left out where the model carries them.
        target: A name from `penjing.targets.names()`, or a `Target`. For microcontrollers the
            result is C files: "cortex-m4", or "cortex-m4,flash=1MB,ram=256KB" to have limits. For
            mobile GPUs it is a library that falls back to a CPU: "mali-g7x,cpu=arm-a76".
        shapes: For ONNX models that leave sizes open: the shape of an input, or the size of a
            dimension, by name: {"image": (1, 3, 224, 224)} or {"batch": 1}.
        passes: Passes (objects or text) to run before the target's own pipeline; those that need
            its result, as `ReducePrecision` does, run before it forms regions.
        calibration: Representative inputs for passes that look at some: any iterable of what the
            model takes, or of (inputs, labels) pairs; each may hold many samples.
        evaluate: The quality of a program, higher is better; passes report it before and after.
        name: Prefix of every C symbol and file.
        threads: Most threads one inference may use.
        winograd: Side of the largest tile of 3x3 convolutions by Winograd's algorithm: 4 (fastest,
            rounding errors up to 1e-5 of the largest output in each layer; default on CPUs), 2 or 0
            (none). On microcontrollers 2 is exact and takes 3.6 times the flash for such layers,
            0 is the default; so it is on GPUs, where such a layer of float32 takes three launches.
        half: What float16 is on the device: "storage" of what is computed in float32, or also the
            "arithmetic" of products, faster and less exact, on cores that have it.
        precision: For mobile GPUs: "float16" stores weights and what layers hand to each other in
            16 bits, "float32" does not; inputs and outputs stay as they are. The default is the
            target's: float16 on Adreno and Mali.
        weights: "embed" puts them into the library, "file" beside it, to be mapped into memory.
        stream: For microcontrollers: compute the first layers row by row, which needs less
            memory for large images; they may then also be fed by rows (NAME_feed_row).
        reuse_inputs: For microcontrollers: give inputs places in the arena, where they are
            overwritten once they are read. A caller that writes them there needs no other memory.
        certify: For microcontrollers: whether to compile and run the C files, where this machine
            has the tools, so that their header says what stack, flash and instructions they need.
        print_after: Name of a pass, or "all": print the program after it.
        stop_at: Run only the first n passes (the program may then be too raw to compile).
        dump_dir: Directory for the program's text after every pass.
        progress: Called with a stage ("trace", "passes", "lower", "codegen", "link") and the
            fraction of it that is done.

    Raises:
        CompileError: The model, the inputs or an option cannot be compiled; it says where and why.
    """
    device = _target(target)
    _check_options(name, weights)
    chosen = [*_passes(passes)]
    chosen += _stores_half(precision, device, chosen)
    arithmetic = half_arithmetic(half, device)
    is_small = isinstance(device, Microcontroller)
    is_gpu = isinstance(device, MobileGpu)
    tile = winograd if winograd is not None else 0 if is_small or is_gpu else 4
    options = KernelOptions(threads=threads, winograd=tile, half_arithmetic=arithmetic)
    if isinstance(device, MobileGpu):
        _check_session(device, options, weights)
    if isinstance(device, Microcontroller):
        _check_sources(device, options, weights)
        device = replace(device, spends_flash=tile > 0)
    pipeline = microcontroller_pipeline if is_small else cpu_pipeline
    clock = _Clock(progress or (lambda stage, done: None))
    with clock.stage("trace"):
        program = trace(model, example_inputs, shapes=shapes)
        source = _digest(program)
    with clock.stage("passes"):
        program = optimize(
            program,
            pipeline(chosen),
            calibration=calibration,
            evaluate=evaluate,
            target=device,
            print_after=print_after,
            stop_at=stop_at,
            dump_dir=dump_dir,
            progress=clock.progress,
        )
    if isinstance(device, Microcontroller):
        from .c_sources.compile import SourceOptions, compile_sources  # TVM takes a second

        artifact = compile_sources(
            program,
            device,
            name=name,
            options=SourceOptions(stream=stream, reuse_inputs=reuse_inputs, certify=certify),
            source_sha256=source,
            stage=clock.stage,
            progress=clock.progress,
        )
    else:
        artifact = _to_library(program, device, name, options, weights, source, clock)
    return replace(artifact, stage_seconds=clock.seconds)


def _to_library(
    program: Program,
    device: Target,
    name: str,
    options: KernelOptions,
    weights: str,
    source: str,
    clock: "_Clock",
) -> Artifact:
    """A shared and a static library for a CPU, or for a GPU and the CPU beside it."""
    from ..targets.cpu.codegen import compile_kernels  # TVM takes a second to import
    from .lowering.lower import lower

    with clock.stage("lower"):
        lowered = lower(program, device, name=name, options=options, progress=clock.progress)
        plan = plan_memory(lowered)
    with clock.stage("codegen"):
        machine_code = compile_kernels(list(lowered.kernels.values()), device)
    with clock.stage("link"):
        if isinstance(device, MobileGpu):
            from .opencl_library.build import build_opencl_library

            return build_opencl_library(
                lowered, plan, machine_code, passes=program.reports, source_sha256=source
            )
        return build_library(
            lowered,
            plan,
            machine_code,
            weights=weights,
            passes=program.reports,
            source_sha256=source,
        )


def _digest(program: Program) -> str:
    """SHA-256 of the traced program: its text and its weights."""
    digest = sha256(str(program).encode())
    for name, tensor in sorted(program.weights.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


@dataclass
class _Clock:
    """Times the stages and tells the caller about them."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        self.progress(name, 0.0)
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
        self.progress(name, 1.0)


def _target(target: str | Target) -> Target:
    if isinstance(target, Target):
        return target
    try:
        return targets.get(target)
    except ValueError as error:
        raise CompileError(str(error)) from error


def _passes(passes: str | Sequence[Pass | str]) -> Iterator[Pass]:
    for item in [passes] if isinstance(passes, str) else passes:
        if isinstance(item, str):
            yield from parse(item)
        elif isinstance(item, Pass):
            yield item
        else:
            raise CompileError(
                "passes must be Pass objects or their text form",
                got=repr(item),
                fix="docs/passes.md",
            )


def _stores_half(precision: str | None, device: Target, chosen: Sequence[Pass]) -> list[Pass]:
    """The pass that stores a program in 16 bits, if it is to be and the user did not choose it."""
    if precision not in (None, "float16", "float32"):
        raise CompileError('precision must be "float16" or "float32"', got=repr(precision))
    if not isinstance(device, MobileGpu):
        if precision is None:
            return []
        raise CompileError(
            "precision is chosen for mobile GPUs",
            got=f"precision={precision!r} for {device.name}",
            fix='use passes="reduce-precision" to store in float16 on a CPU',
        )
    is_chosen = any(isinstance(pass_, ReducePrecision) for pass_ in chosen)
    default = "float16" if device.half_storage and not is_chosen else "float32"
    return [ReducePrecision()] if (precision or default) == "float16" else []


def _check_session(device: MobileGpu, options: KernelOptions, weights: str) -> None:
    """Refuse options that libraries for GPUs do not have."""
    if options.threads > 1 or weights != "embed":
        raise CompileError(
            f"{device.name} is a GPU: its library has the weights, the CPU's part one thread",
            got=f"threads={options.threads}, weights={weights!r}",
            fix='leave out threads and weights, or use a CPU such as target="arm-a76"',
        )


def _check_sources(device: Target, options: KernelOptions, weights: str) -> None:
    """Refuse options that C files for a microcontroller do not have."""
    if options.threads > 1 or weights != "embed":
        raise CompileError(
            f"{device.name} is a microcontroller: one thread, weights in flash",
            got=f"threads={options.threads}, weights={weights!r}",
            fix='leave out threads and weights, or use a CPU such as target="arm-a72"',
        )
    if options.winograd > 2:
        raise CompileError(
            "tiles of side 4 are not exact in integers",
            got=f"winograd={options.winograd} for {device.name}",
            fix="winograd=2 (more flash, fewer instructions) or 0",
        )


def _check_options(name: str, weights: str) -> None:
    if not _NAME.fullmatch(name):
        raise CompileError(
            "the name must be a C identifier", got=f"name={name!r}", fix="letters, digits and _"
        )
    if weights not in ("embed", "file"):
        raise CompileError('weights must be "embed" or "file"', got=f"weights={weights!r}")
