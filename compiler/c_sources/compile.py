"""An optimized program -> C files for a microcontroller: `compile` without its passes."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from ...targets.microcontrollers import Microcontroller
from ..artifact import Artifact
from ..ir.program import Program
from ..lowering.front import CannotStream, least_stream_bytes, stream_lengths
from ..lowering.layers import lower_layers, settle
from ..lowering.program import Lowered
from ..planning import SMALL_ARENA_ALIGN, MemoryPlan, plan_memory
from ..planning_ways import choose_ways
from ..resources.fit import arena_limit
from .build import build_sources
from .refusals import check_integers

Stage = Callable[[str], AbstractContextManager[None]]
Progress = Callable[[str, float], None]


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """What the user chose; `compile` explains it."""

    stream: bool
    reuse_inputs: bool
    certify: bool


def compile_sources(
    program: Program,
    core: Microcontroller,
    *,
    name: str,
    options: SourceOptions,
    source_sha256: str,
    stage: Stage,
    progress: Progress,
) -> Artifact:
    """The C files of a program.

    Args:
        program: After `microcontroller_pipeline`.
        core: What they are for.
        name: Prefix of every C symbol.
        options: What the user chose.
        source_sha256: Hash of the traced program, for the manifest.
        stage: Times a stage of the compilation.
        progress: Called with a stage and the fraction of it that is done.

    Raises:
        CompileError: The program cannot run on the core, or does not fit its memory.
    """
    check_integers(program)
    with stage("lower"):
        lowered, plan = _smallest(program, core, name, options, progress)
    with stage("codegen"):
        return build_sources(
            program,
            lowered,
            plan,
            certify=options.certify,
            advice=_advice(program, options),
            source_sha256=source_sha256,
        )


def _smallest(
    program: Program,
    core: Microcontroller,
    name: str,
    options: SourceOptions,
    progress: Progress,
) -> tuple[Lowered, MemoryPlan]:
    """The layers and their memory, of as many streamed ones as make it smallest."""
    plans: list[tuple[Lowered, MemoryPlan]] = []
    problem = CannotStream("", "it does not begin with two int8 layers of windows on one image")
    for length in stream_lengths(program) if options.stream else [0]:
        if plans and least_stream_bytes(program, length) >= plans[-1][1].arena_bytes:
            continue
        try:
            layers = lower_layers(program, core, name=name, stream=length, progress=progress)
        except CannotStream as error:
            problem = error
            break
        in_arena = options.reuse_inputs
        limit = arena_limit(layers.lowered, core, inputs_in_arena=in_arena)
        chosen = choose_ways(
            layers.lowered, layers.ways, inputs_in_arena=in_arena, most_bytes=limit
        )
        lowered = settle(layers, chosen)
        plan = plan_memory(lowered, align=SMALL_ARENA_ALIGN, inputs_in_arena=in_arena)
        plans.append((lowered, plan))
    if not plans:
        raise problem
    return min(plans, key=lambda both: both[1].arena_bytes)


def _advice(program: Program, options: SourceOptions) -> list[str]:
    """Options that may help a model that does not fit."""
    advice = []
    if not options.stream and stream_lengths(program):
        advice.append("stream=True (the first layers row by row)")
    if not options.reuse_inputs:
        advice.append("reuse_inputs=True (inputs share memory with the layers)")
    return advice
