"""Progress of long work on stderr: bars on a terminal, lines where asked for, else nothing."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Progress = Callable[[str, float], None]


@contextmanager
def show_progress(*, always: bool = False) -> Iterator[Progress]:
    """Gives the function to call with a stage and the part of that stage which is done."""
    if sys.stderr.isatty():
        with _bars() as progress:
            yield progress
    elif always:
        yield _lines()
    else:
        yield lambda stage, done: None


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    tasks = {}
    columns = (TextColumn("{task.description:<24}"), BarColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(file=sys.stderr), transient=True) as bars:

        def report(stage: str, done: float) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=1.0)
            bars.update(tasks[stage], completed=done)

        yield report


def _lines() -> Progress:
    starts: dict[str, float] = {}

    def report(stage: str, done: float) -> None:
        if stage not in starts:
            starts[stage] = time.perf_counter()
            print(f"{stage} ...", file=sys.stderr)
        elif done >= 1.0:
            print(f"{stage} {time.perf_counter() - starts[stage]:.1f} s", file=sys.stderr)

    return report
