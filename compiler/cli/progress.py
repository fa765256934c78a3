"""Progress of long work on stderr: a bar on a terminal, lines where asked for, else nothing."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, float], None]


@contextmanager
def show_progress(*, always: bool = False) -> Iterator[Progress]:
    """Gives the function to call with the stage and the part of the whole that is done."""
    if sys.stderr.isatty():
        with _bar() as progress:
            yield progress
    elif always:
        yield _lines()
    else:
        yield lambda stage, done: None


@contextmanager
def _bar() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("", total=1.0)
        yield lambda stage, done: bars.update(task, description=stage, completed=done)


def _lines() -> Progress:
    start, last = time.perf_counter(), ""

    def report(stage: str, done: float) -> None:
        nonlocal last
        if stage != last:
            seconds = time.perf_counter() - start
            print(f"{seconds:7.1f} s {done:4.0%} {stage}", file=sys.stderr)
            last = stage

    return report
