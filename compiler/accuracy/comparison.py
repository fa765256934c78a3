"""Where two programs differ, on data: value by value, from the inputs to the outputs."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from ..batched_run import run_batched
from ..batches import as_batches
from ..errors import CompileError
from ..ir.program import Program
from ..report import table
from .difference import Difference, decibels
from .matching import Match, match

Every = Literal["module", "value"]


@dataclass(frozen=True)
class Row:
    """One value of both programs.

    Args:
        name: Its module in the user's model; with the node's name where a module has several.
        op: The operator of the first program that gives it, or "output".
        sqnr: Signal to noise in decibels, infinite where both are equal.
        max_error: The largest difference of an element.
        cosine: Of the angle between both values.
    """

    name: str
    op: str
    sqnr: float
    max_error: float
    cosine: float

    @classmethod
    def of(cls, name: str, op: str, difference: Difference) -> "Row":
        """A row of what was summed."""
        return cls(name, op, difference.sqnr, difference.max_error, difference.cosine)


@dataclass(frozen=True)
class Comparison:
    """How two programs differ on data: values in graph order, then outputs; prints as a table."""

    rows: tuple[Row, ...]
    outputs: tuple[Row, ...]

    def __str__(self) -> str:
        cells = [("value", "operator", "SQNR dB", "max error", "cosine")]
        for row in (*self.rows, *self.outputs):
            numbers = decibels(row.sqnr), f"{row.max_error:.3g}", f"{row.cosine:.6f}"
            cells.append((row.name or "model", row.op, *numbers))
        return "\n".join(table(cells, "llrrr"))

    @property
    def sqnr(self) -> float:
        """That of the worst output, in decibels."""
        return min(row.sqnr for row in self.outputs)

    def worst(self, count: int = 10) -> list[Row]:
        """The values that differ most."""
        return sorted(self.rows, key=lambda row: row.sqnr)[:count]

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain data; None stands for an infinite ratio."""

        def plain(row: Row) -> dict[str, Any]:
            return asdict(row) | {"sqnr": row.sqnr if math.isfinite(row.sqnr) else None}

        return {"rows": list(map(plain, self.rows)), "outputs": list(map(plain, self.outputs))}

    def plot(self, path: str | Path) -> None:
        """Draw signal to noise along the program; the suffix (.svg, .png, .pdf) names the format.

        Raises:
            CompileError: matplotlib is not installed, or the format is unknown.
        """
        from ..plot import plot_decibels

        rows = [*self.rows, *self.outputs]
        plot_decibels([(row.name or "model", row.sqnr) for row in rows], Path(path))


def compare(
    first: Program, second: Program, data: Iterable[Any], *, every: Every = "module"
) -> Comparison:
    """Run two programs on the same data and say how far apart their values are.

    Values are matched by the names of nodes and modules, which passes keep; a value that only one
    program has is left out. Errors add up along the program: a row holds those of all rows before.

    Args:
        first: What is wanted, such as the program before some passes.
        second: What there is, such as the same program after them.
        data: Batches of inputs, as for calibration.
        every: "module": the last value of each module that has one. "value": all that match.

    Raises:
        CompileError: The programs take or give different things, or the data does not fit.
    """
    _check_alike(first, second)
    matches = match(first, second)
    if every == "module":
        last = {each.module_path: each for each in matches}
        matches = [each for each in matches if last[each.module_path] is each]
    elif every != "value":
        raise CompileError('every must be "module" or "value"', got=f"every={every!r}")
    sums = [Difference() for _ in matches]
    ends = [Difference() for _ in first.outputs]
    with torch.no_grad():
        for batch in as_batches(first, data):
            _add(first, second, batch.inputs, matches, sums, ends)
    rows = [
        Row.of(name, str(each.first.target), difference)
        for name, each, difference in zip(_names(matches), matches, sums, strict=True)
    ]
    outputs = [
        Row.of(name, "output", difference)
        for name, difference in zip(first.output_names, ends, strict=True)
    ]
    return Comparison(tuple(rows), tuple(outputs))


def output_sqnr(first: Program, second: Program, data: Iterable[Any]) -> float:
    """Signal to noise of the worst real output, in decibels."""
    sums = [Difference() for _ in first.outputs]
    with torch.no_grad():
        for batch in as_batches(first, data):
            wanted = run_batched(first, batch.inputs).outputs
            _add_outputs(wanted, run_batched(second, batch.inputs).outputs, sums)
    return min((each.sqnr for each in sums), default=math.inf)


def _add(
    first: Program,
    second: Program,
    inputs: Sequence[Tensor],
    matches: Sequence[Match],
    sums: Sequence[Difference],
    ends: Sequence[Difference],
) -> None:
    wanted = run_batched(first, inputs, keep={each.first for each in matches})
    got = run_batched(second, inputs, keep={each.second for each in matches})
    for each, difference in zip(matches, sums, strict=True):
        difference.add(wanted.kept[each.first], got.kept[each.second])
    _add_outputs(wanted.outputs, got.outputs, ends)


def _add_outputs(
    wanted: Sequence[Tensor], got: Sequence[Tensor], sums: Sequence[Difference]
) -> None:
    for mine, theirs, difference in zip(wanted, got, sums, strict=True):
        difference.add(mine, theirs)


def _names(matches: Sequence[Match]) -> list[str]:
    paths = [each.module_path for each in matches]
    return [
        path if paths.count(path) == 1 else f"{path} {each.first.name}".strip()
        for path, each in zip(paths, matches, strict=True)
    ]


def _check_alike(first: Program, second: Program) -> None:
    for what in ("inputs", "outputs"):
        pair = [getattr(program, what) for program in (first, second)]
        if pair[0] != pair[1]:
            texts = [", ".join(map(str, specs)) for specs in pair]
            raise CompileError(
                f"the programs have different {what}",
                got=" and ".join(texts),
                fix="compare programs that come from one model",
            )
