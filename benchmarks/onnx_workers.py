"""Runs checks in processes of their own, so that none can take others with it or run forever."""

import multiprocessing
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection, wait
from typing import Any

from .onnx_cases import OnnxCase
from .onnx_check import CRASHED, Outcome

_CONTEXT = multiprocessing.get_context("spawn")
_FIRST_SECONDS = 120.0  # importing PyTorch and TVM on a busy computer


@dataclass
class _Worker:
    """A process, its pipe, the case that it works on and until when it may."""

    process: Any
    pipe: Connection
    case: OnnxCase
    deadline: float


def run_checks(
    cases: Iterable[OnnxCase], *, processes: int, limit_seconds: float
) -> Iterator[tuple[OnnxCase, Outcome]]:
    """The outcome of each case as it is known.

    A process that dies or takes too long is replaced; its case has crashed.
    """
    waiting = iter(cases)
    workers: list[_Worker] = []
    try:
        for case in waiting:
            workers.append(_started(case, limit_seconds))
            if len(workers) == processes:
                break
        while workers:
            pipes = wait([worker.pipe for worker in workers], timeout=0.5)
            for worker in list(workers):
                outcome = _outcome(worker, worker.pipe in pipes, limit_seconds)
                if outcome is None:
                    continue
                yield worker.case, outcome
                _give_next(worker, next(waiting, None), workers, limit_seconds)
    finally:
        for worker in workers:
            worker.process.kill()


def _outcome(worker: _Worker, is_ready: bool, limit_seconds: float) -> Outcome | None:
    """What a worker found; None while it works."""
    if is_ready:
        try:
            outcome: Outcome = worker.pipe.recv()
        except (EOFError, OSError):
            worker.process.join()
            return Outcome(CRASHED, f"the process ended with {worker.process.exitcode}")
        return outcome
    if time.monotonic() < worker.deadline:
        return None
    worker.process.kill()
    worker.process.join()
    return Outcome(CRASHED, f"took longer than {limit_seconds:g} seconds")


def _give_next(
    worker: _Worker, case: OnnxCase | None, workers: list[_Worker], limit_seconds: float
) -> None:
    """Go on with the next case, in a new process where the old one is gone."""
    if case is None:
        worker.process.kill()
        workers.remove(worker)
        return
    if worker.process.is_alive():
        worker.case, worker.deadline = case, time.monotonic() + limit_seconds
        worker.pipe.send(case)
    else:
        workers[workers.index(worker)] = _started(case, limit_seconds)


def _started(case: OnnxCase, limit_seconds: float) -> _Worker:
    ours, theirs = _CONTEXT.Pipe()
    process = _CONTEXT.Process(target=_work, args=(theirs,), daemon=True)
    process.start()
    theirs.close()
    ours.send(case)
    return _Worker(process, ours, case, time.monotonic() + limit_seconds + _FIRST_SECONDS)


def _work(pipe: Connection) -> None:
    """Check the cases that come through a pipe, in the worker process."""
    import torch
    import torch._export.utils as exporting

    from .onnx_check import check

    torch.set_num_threads(1)
    # torch.export lists all of PyTorch's operators 56 times; here nobody registers any meanwhile.
    exporting._materialize_cpp_cia_ops = cache(exporting._materialize_cpp_cia_ops)
    while True:
        pipe.send(check(pipe.recv()))
