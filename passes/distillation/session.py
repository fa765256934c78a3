"""One run of distillation: from a program, its teacher and data to trained weights."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial

import torch

from ...compiler.batched_run import run_batched
from ...compiler.batches import Batch, Batches, as_batches
from ...compiler.errors import CompileError
from ...compiler.ir.program import Program
from ...compiler.pass_context import PassContext, Progress
from ...compiler.pass_report import PassReport
from ...compiler.training import Callback, Samples, Training, train
from ...compiler.training.forward import moved
from ...compiler.training.processes import find_device
from .attention_maps import attentions, pair_attentions, reads_of
from .hidden_states import hidden_states, pair_by_origin
from .objective import Distillation
from .options import DistillationOptions
from .teacher import Teacher

_PROBE_SAMPLES = 32  # that choose what hidden states mean
_REPORT_POINTS = 50  # of the loss curve


def distill(
    program: Program,
    options: DistillationOptions,
    context: PassContext,
    report: PassReport,
    *,
    callbacks: Sequence[Callback] = (),
    keep_best: bool = True,
) -> int:
    """Train `program` in place towards its teacher; the number of weights that changed.

    Nothing changes where `keep_best` is asked for and no weights were better than those at the
    beginning.

    Args:
        program: The student.
        options: What it learns and how.
        context: Has the teacher and the data that the options do not have.
        report: Gets the loss curve and the validations.
        callbacks: Called beside those of the options.
        keep_best: Whether the weights of the best validation win.

    Raises:
        CompileError: There is no teacher or no data, they do not fit, or the loss is not finite.
    """
    original = options.teacher or context.needs_original(report.name)
    _check_teacher(program, original)
    with _seeded(options):
        training, validation, probe = _data(program, options, context, report.name)
    student = program.copy()
    objective = _objective(student, original, options, report, probe)
    for part in (validation, training):
        stage = partial(context.progress, f"{report.name}: teacher")
        _show(objective.teacher.prepare, part, options, stage)
    if options.relation_weight:
        _show(objective.set_anchors, training, options, lambda _: None)
    result = train(
        student,
        objective,
        training,
        options=options,
        validation=validation,
        measure=objective.measure,
        keep_best=keep_best,
        callbacks=[*options.callbacks, *callbacks, _Progress(report.name, context.progress)],
    )
    original.module.to("cpu")
    _describe(result, report)
    report.details["remembered"] = objective.teacher.remembered
    if keep_best and result.best is not None and result.best.step == 0:
        report.details["note"] = "no update made it better: the weights stay as they were"
        return 0
    return _take_weights(program, student)


def _show(
    take: Callable[[Iterator[Batch]], None],
    data: Batches | Samples,
    options: DistillationOptions,
    progress: Callable[[float], None],
) -> None:
    """Give the samples to `take` in a fixed order, before training has them in a random one."""
    batches = data.in_order(options.batch_size) if isinstance(data, Samples) else data
    device = find_device(options.device)

    def shown() -> Iterator[Batch]:
        for number, batch in enumerate(batches):
            progress(number / len(batches))
            yield moved(batch, device)

    with _seeded(options):
        take(shown())
    progress(1.0)


@contextmanager
def _seeded(options: DistillationOptions) -> Iterator[None]:
    """A loader that shuffles gives the same order each time, and the caller's numbers stay."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(options.seed)
        yield


class _Progress(Callback):
    def __init__(self, name: str, progress: Progress) -> None:
        self.name, self.progress = name, progress

    def on_step(self, training: Training) -> None:
        self.progress(f"{self.name}: training", training.step / training.steps)


def _check_teacher(program: Program, teacher: Program) -> None:
    for what in ("inputs", "outputs"):
        ours, theirs = getattr(program, what), getattr(teacher, what)
        if ours != theirs:
            raise CompileError(
                f"the teacher has other {what} than the program",
                got=f"{', '.join(map(str, theirs))} instead of {', '.join(map(str, ours))}",
                fix="give a teacher that was traced with the same inputs",
            )


def _data(
    program: Program, options: DistillationOptions, context: PassContext, name: str
) -> tuple[Batches | Samples, Batches | Samples, Batch]:
    """Training data, validation data and a batch of the former."""
    if options.data is None:
        batches = context.needs_calibration(name)
    else:
        batches = as_batches(program, options.data)
    given = None if options.validation is None else as_batches(program, options.validation)
    if not options.batch_size:
        if given is None:
            raise CompileError(
                f"{name} needs validation data beside batches that are taken as they come",
                fix="give validation=[...], or a batch_size: samples are then kept in memory",
            )
        return batches, given, next(iter(batches))
    samples = Samples(program, batches)
    if given is not None:
        return samples, given, samples.in_order(_PROBE_SAMPLES)[0]
    training, validation = samples.divide(options.validation_part, options.seed)
    probe = training.in_order(_PROBE_SAMPLES)[0]
    return training, validation if len(validation) else training, probe


def _objective(
    student: Program,
    original: Program,
    options: DistillationOptions,
    report: PassReport,
    probe: Batch,
) -> Distillation:
    states, theirs = hidden_states(student), hidden_states(original)
    wants_states = options.hidden_weight > 0 or options.mode == "blockwise"
    pairs, skipped = pair_by_origin(states, theirs) if wants_states else ([], [])
    for node, reason in skipped:
        report.skip(node, reason)
    maps = pair_attentions(attentions(student), attentions(original))
    maps = maps if options.attention_weight else []
    if options.mode == "blockwise" and not pairs:
        raise CompileError(
            "there are no blocks that the program and its teacher share",
            got=f"{len(states)} hidden states in the program, {len(theirs)} in the teacher",
            fix='use mode="end-to-end"',
        )
    if options.attention_weight and not maps:
        raise CompileError(
            "there are no attention maps that the program and its teacher share",
            fix="leave out attention_weight; attention that is written out needs fuse-attention",
        )
    report.details["hidden_states"] = len(pairs)
    report.details["attention_maps"] = len(maps)
    reads = reads_of([teacher for _, teacher in maps])
    teacher = Teacher(original, theirs if pairs else [], reads, options.cache_bytes)
    run = partial(run_batched, student, probe.inputs)
    return Distillation(teacher, options, pairs, maps, run, probe)


def _describe(result: Training, report: PassReport) -> None:
    stride = max(1, len(result.losses) // _REPORT_POINTS)
    chunks = [result.losses[start : start + stride] for start in range(0, result.step, stride)]
    report.details["steps"] = result.step
    report.details["epochs"] = result.epoch
    report.details["loss"] = [sum(chunk) / len(chunk) for chunk in chunks]
    report.details["validation"] = [[one.step, one.value] for one in result.validations]
    if result.best is not None:
        report.details["best_step"] = result.best.step
    report.details["stopped_early"] = result.stopped


def _take_weights(program: Program, student: Program) -> int:
    trained, changed = student.weights, 0
    for node in program.graph.find_nodes(op="get_attr"):
        new = trained[str(node.target)]
        if not torch.equal(program.weight(node), new):
            program.replace_weight(node, new)
            changed += 1
    return changed
