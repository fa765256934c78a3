"""Run passes over a program: one after the other, each verified, timed, reported and dumpable."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from .. import targets
from ..targets.target import Target
from .batches import as_batches
from .errors import CompileError
from .ir.program import Program
from .ir.verify import verify
from .pass_base import Pass
from .pass_context import Evaluate, PassContext, Progress
from .pass_effects import EffectMeter
from .pass_text import parse


def optimize(
    program: Program,
    passes: str | Sequence[Pass | str],
    *,
    calibration: Iterable[Any] | None = None,
    evaluate: Evaluate | None = None,
    target: str | Target | None = None,
    print_after: str | None = None,
    stop_at: int | None = None,
    dump_dir: str | Path | None = None,
    progress: Progress | None = None,
    after_each: Callable[[Program], None] | None = None,
) -> Program:
    """A copy of `program` with `passes` applied; its `reports` say what each of them did.

    Every pass works on a verified program and must leave one; there is no way to turn that off.

    Args:
        program: Left as it is.
        passes: Passes or their text form, in the order to run.
        calibration: Representative inputs for the passes that look at some: any iterable of what
            the model takes, or of (inputs, labels) pairs; each may hold many samples.
        evaluate: The quality of a program, higher is better; passes report it before and after.
        target: What the program will be compiled for; passes may fit sizes to it.
        print_after: Name of the pass whose result is printed, or "all".
        stop_at: How many passes to run; to find the pass that breaks a model, halve it.
        dump_dir: Where to write the program's text before the first and after every pass.
        progress: Called with a pass, or a stage of one, and the fraction of it that is done.
        after_each: Called after every pass with the program, which it must leave as it is.

    Raises:
        CompileError: A pass failed, left an invalid program or a wrong count of rewrites.
    """
    steps = as_passes(passes)
    _check_name(print_after, steps)
    result = program.copy()
    result.drop_dead()
    verify(result)
    context = _context(program, calibration, evaluate, target, progress)
    meter = EffectMeter(context)
    _dump(result, dump_dir, 0, "input")
    for number, pass_ in enumerate(steps[:stop_at], 1):
        if progress is not None:
            progress(f"{pass_.name} ({number}/{len(steps)})", 0.0)
        _run_step(result, pass_, meter, number, steps)
        if print_after in (pass_.name, "all"):
            print(_after_text(result))  # noqa: T201  # what print_after is for
        _dump(result, dump_dir, number, pass_.name)
        if after_each is not None:
            after_each(result)
    result.tidy()
    return result


def as_passes(passes: str | Sequence[Pass | str]) -> list[Pass]:
    """Passes from any mix of passes and text."""
    if isinstance(passes, (str, Pass)):
        passes = [passes]
    steps: list[Pass] = []
    for item in passes:
        if not isinstance(item, (str, Pass)):
            raise CompileError(
                "expected passes or their text form",
                got=f"{item!r} of type {type(item).__name__}",
                fix="give instances such as FoldBatchNorm(), or text such as 'fold-batch-norm'",
            )
        steps += parse(item) if isinstance(item, str) else [item]
    return steps


def _context(
    original: Program,
    calibration: Iterable[Any] | None,
    evaluate: Evaluate | None,
    target: str | Target | None,
    progress: Progress | None,
) -> PassContext:
    return PassContext(
        calibration=None if calibration is None else as_batches(original, calibration),
        evaluate=evaluate,
        original=original,
        target=targets.get(target) if isinstance(target, str) else target,
        progress=progress or (lambda stage, done: None),
    )


def _run_step(
    program: Program, template: Pass, meter: EffectMeter, number: int, steps: Sequence[Pass]
) -> None:
    """Run one pass on `program` in place and append its report."""
    pass_ = replace(template)  # a report of its own: passes are shared between compilations
    vars(pass_)["context"] = meter.context
    state = meter.before(program) if pass_.contract == "lossy" else None
    report, before = pass_.report, _fingerprint(program)
    report.nodes_before = _count_calls(program)
    start = perf_counter()
    try:
        report.rewrites = pass_.run(program)
        report.seconds = perf_counter() - start
        program.drop_dead()
        verify(program)
        _check_honest(report.rewrites, before, _fingerprint(program))
    except Exception as error:
        raise _failure(error, number, steps) from error
    report.nodes_after = _count_calls(program)
    if state is not None and report.rewrites:
        report.before, report.after = state, meter.after(program)
    program.reports = (*program.reports, report)


def _check_honest(rewrites: int, before: Any, after: Any) -> None:
    """Reports, fixed points and bisection rely on the count, so a wrong one is a failure."""
    if not isinstance(rewrites, int) or isinstance(rewrites, bool) or rewrites < 0:
        raise TypeError(f"run() must return the number of rewrites, got {rewrites!r}")
    if rewrites == 0 and before != after:
        raise ValueError("run() returned 0 but changed the program")
    if rewrites > 0 and before == after:
        raise ValueError(f"run() returned {rewrites} but left the program as it was")


def _fingerprint(program: Program) -> tuple[str, dict[str, tuple["_Same", int]]]:
    """What a pass can change: the graph as text, and which tensors at which version it holds."""
    weights = {name: (_Same(t), t._version) for name, t in program.weights.items()}
    return str(program), weights


class _Same:
    """Compares a tensor by identity, and keeps it alive so that the identity stays its own."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = tensor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.tensor is other.tensor

    __hash__ = None  # type: ignore[assignment]


def _failure(error: Exception, number: int, steps: Sequence[Pass]) -> CompileError:
    names = [pass_.name for pass_ in steps[:number]]
    place = f"after {', '.join(names[:-1])}" if names[:-1] else "the first pass"
    what = f"pass {names[-1]} (step {number}) failed"
    hint = f"stop_at={number - 1} stops just before it"
    if not isinstance(error, CompileError):
        reason = f"{type(error).__name__}: {error}"
        return CompileError(f"{what}: {reason}", at=place, fix=f"a bug in the pass; {hint}")
    return CompileError(
        f"{what}: {error.what}",
        at=f"{error.at}, {place}" if error.at else place,
        got=error.got,
        fix=f"{error.fix}; {hint}" if error.fix else hint,
    )


def _check_name(print_after: str | None, steps: Sequence[Pass]) -> None:
    names = [pass_.name for pass_ in steps]
    if print_after is not None and print_after != "all" and print_after not in names:
        raise CompileError(
            f"print_after names a pass that does not run: {print_after!r}",
            fix=f"use 'all' or one of {', '.join(names) or '(no passes)'}",
        )


def _count_calls(program: Program) -> int:
    return sum(node.op == "call_function" for node in program.graph.nodes)


def _after_text(program: Program) -> str:
    report = program.reports[-1]
    plural = "" if report.rewrites == 1 else "s"
    return f"; after {report.name}: {report.rewrites} rewrite{plural}\n{program}"


def _dump(program: Program, dump_dir: str | Path | None, number: int, name: str) -> None:
    if dump_dir is not None:
        directory = Path(dump_dir)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / f"{number:02d}-{name}.txt").write_text(str(program))
