"""Finds the pass, and the part of the program, where accuracy is lost, and writes it to files."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node

from ..batched_run import run_batched
from ..batches import Batches, as_batches
from ..ir.program import Program
from ..pass_base import Pass
from ..pass_context import Evaluate
from ..pass_manager import as_passes, optimize
from .comparison import Comparison, compare, output_sqnr
from .difference import decibels
from .extract import extract
from .matching import Match, match

SCRIPT = '''"""Runs one part of a program as it was before and after a pass: {title}."""

from pathlib import Path

import torch

from penjing import Program, compare

folder = Path(__file__).parent
before, after = (Program.load(folder / f"{{name}}.penjing") for name in ("before", "after"))
inputs = torch.load(folder / "inputs.pt")
print(before, after, compare(before, after, [tuple(inputs)]), sep="\\n")
'''


@dataclass(frozen=True)
class Bisection:
    """Where a pipeline loses more than a bound.

    Args:
        name: The first pass after which outputs are too far from those of the original; "" where
            there is none.
        number: Its place, from 1 on; 0 where there is none.
        sqnr: Signal to noise of the worst output after it, or after the last pass, in decibels.
        region: The first value that is too far off after the pass, by its module.
        comparison: All values before the pass against those after it.
        directory: Where the reproduction is, if one was written.
    """

    name: str
    number: int
    sqnr: float
    region: str = ""
    comparison: Comparison | None = None
    directory: Path | None = None

    def __str__(self) -> str:
        if not self.number:
            return f"no pass loses more; {decibels(self.sqnr)} dB are left at the end"
        place = f" at {self.region}" if self.region else ""
        saved = f"; python {self.directory}/reproduce.py" if self.directory else ""
        return f"pass {self.number}, {self.name}{place}: {decibels(self.sqnr)} dB{saved}"


def bisect(
    program: Program,
    passes: str | Sequence[Pass | str],
    data: Iterable[Any],
    *,
    least_sqnr: float,
    calibration: Iterable[Any] | None = None,
    evaluate: Evaluate | None = None,
    directory: str | Path | None = None,
) -> Bisection:
    """Run passes one by one and stop at the first that loses more than a bound.

    Args:
        program: Left as it is.
        passes: The pipeline, as `optimize` takes it.
        data: Batches of inputs that outputs are compared on.
        least_sqnr: Signal to noise, in decibels, that every output and value must have.
        calibration: For the passes; `data` where there is none.
        evaluate: For the passes.
        directory: Where to write the part of the program around the first value that is too far
            off: before.penjing, after.penjing, the values that both read in inputs.pt, and
            reproduce.py, which runs them.

    Raises:
        CompileError: The data does not fit, or a pass fails.
    """
    steps, batches = as_passes(passes), as_batches(program, data)
    search = _Search(program, batches, least_sqnr)
    try:
        optimize(
            program,
            steps,
            calibration=batches if calibration is None else calibration,
            evaluate=evaluate,
            after_each=search.look,
        )
    except _Found:
        return _located(search, steps[search.number - 1].name, directory)
    return Bisection("", 0, search.sqnr)


class _Found(Exception):
    """The pipeline need not run on."""


class _Search:
    """Compares the program after each pass with the original; keeps that before the last one."""

    def __init__(self, original: Program, data: Batches, least_sqnr: float) -> None:
        self.original, self.data, self.least_sqnr = original, data, least_sqnr
        self.before = self.after = original.copy()
        self.number, self.sqnr = 0, math.inf

    def look(self, program: Program) -> None:
        self.number += 1
        self.before, self.after = self.after, program.copy()
        self.sqnr = output_sqnr(self.original, self.after, self.data)
        if not self.sqnr >= self.least_sqnr:
            raise _Found


def _located(search: _Search, name: str, directory: str | Path | None) -> Bisection:
    """The first value that is too far off, with what is needed to see that again."""
    before, after = search.before, search.after
    comparison = compare(before, after, search.data, every="value")
    rows = [row for row in comparison.rows if not row.sqnr >= search.least_sqnr]
    region = rows[0].name if rows else ""
    folder = None if directory is None else Path(directory)
    if folder is not None:
        matches = match(before, after)
        index = comparison.rows.index(rows[0]) if rows else None
        title = f"{name}, {region or 'outputs'}"
        _write(search, matches, index, title, folder)
    return Bisection(name, search.number, search.sqnr, region, comparison, folder)


def _write(
    search: _Search, matches: Sequence[Match], index: int | None, title: str, folder: Path
) -> None:
    """Save the part of both programs between the last common values and one of them, or all."""
    before, after = search.before, search.after
    pairs = [Match(*both) for both in zip(before.input_nodes, after.input_nodes, strict=True)]
    ends = [Match(*both) for both in zip(before.output_nodes, after.output_nodes, strict=True)]
    if index is not None:
        pairs, ends = [*pairs, *matches[:index]], [matches[index]]
    names = {each: f"input_{number}" for number, each in enumerate(_frontier(ends, pairs))}
    sides = (
        (before, [end.first for end in ends], {each.first: n for each, n in names.items()}),
        (after, [end.second for end in ends], {each.second: n for each, n in names.items()}),
    )
    folder.mkdir(parents=True, exist_ok=True)
    for side, (program, results, inputs) in zip(("before", "after"), sides, strict=True):
        extract(program, results, inputs).save(folder / f"{side}.penjing")
    torch.save(_values(before, search.data, [each.first for each in names]), folder / "inputs.pt")
    (folder / "reproduce.py").write_text(SCRIPT.format(title=title))


def _frontier(ends: Sequence[Match], pairs: Sequence[Match]) -> list[Match]:
    """The common values that paths to the ends meet last, on either side."""
    found: dict[Match, None] = {}
    for side in ("first", "second"):
        known = {getattr(pair, side): pair for pair in pairs}
        stack: list[Node] = [s for end in ends for s in getattr(end, side).all_input_nodes]
        seen: set[Node] = set()
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            if node in known:
                found[known[node]] = None
            else:
                stack += node.all_input_nodes
    return list(found)


def _values(program: Program, data: Batches, nodes: Sequence[Node]) -> list[Tensor]:
    """What nodes hold on the first batch."""
    batch = next(iter(data))
    with torch.no_grad():
        kept = run_batched(program, batch.inputs, keep=nodes, outputs=False).kept
    return [kept[node] for node in nodes]
