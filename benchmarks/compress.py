"""The real MiniLM made smaller: what is left of its embeddings.

python -m benchmarks.compress [CASE ...] [--epochs N] [--json FILE]

Each case is measured three times: as the simplest choice leaves it, after the healing in closed
form that the pass does by itself, and after distillation on top of that. Spearman and mean cosine
are those of benchmarks/sentences.py on held-out pairs; `everyday` is the mean cosine on sentences
of everyday life. `at least` is what healing and distillation together must reach.
"""

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from dataclasses import dataclass
from pathlib import Path

import penjing
from penjing.compiler.ir.program import Program
from penjing.passes import Distill, Pass, PruneChannels, RemoveLayers

from .sentences import EVERYDAY, HELD_OUT, calibration_batches, encoder, scores
from .table import Row, publish, save

LENGTH = 64  # tokens: no held-out sentence has more
HEALED_ON, DISTILLED_ON = 512, 4096  # sentences


@dataclass(frozen=True)
class Case:
    """One way to make the model smaller, without and with healing."""

    what: str
    naive: Pass
    healing: Pass
    at_least: tuple[float, float]  # Spearman, mean cosine


def _layers(count: int, *bounds: float) -> Case:
    naive = RemoveLayers(count=count, score="influence", heal=False)
    what = f"{count} of 6 layers removed"
    return Case(what, naive, RemoveLayers(count=count), (bounds[0], bounds[1]))


CASES = {
    "layers-1": _layers(1, 0.995, 0.98),
    "layers-2": _layers(2, 0.990, 0.955),
    "layers-3": _layers(3, 0.983, 0.91),
    "ffn": Case(
        "FFN width halved",
        PruneChannels(ratio=0.5, scope="layer", kinds=("features",), refit=False),
        PruneChannels(ratio=0.5, scope="layer", kinds=("features",), criterion="reconstruction"),
        (0.995, 0.965),
    ),
}


def main() -> None:
    """Measure the cases and print a line for each state."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"some of {', '.join(CASES)} (default: all)")
    parser.add_argument("--epochs", type=int, default=3, help="of distillation")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"unknown case {', '.join(sorted(unknown))}")
    original = penjing.trace(encoder(), calibration_batches(1, 1, LENGTH)[0])
    rows: list[Row] = []
    for name in options.cases or CASES:
        rows += measure(CASES[name], original, options.epochs)
        save(rows, options.json)
    publish(rows, options.json)


def measure(case: Case, original: Program, epochs: int) -> list[Row]:
    """A row for each of the three states."""
    calibration = calibration_batches(HEALED_ON, 16, LENGTH)
    distilling = Distill(
        epochs=epochs, teacher=original, data=calibration_batches(DISTILLED_ON, 16, LENGTH)
    )
    rows: list[Row] = []
    healed = original
    for state, start, step in (
        ("simplest choice", original, case.naive),
        ("healed", original, case.healing),
        ("healed, distilled", None, distilling),
    ):
        print(f"{case.what}: {state}", file=sys.stderr, flush=True)
        wall, cpu = time.perf_counter(), time.process_time()
        healed = penjing.optimize(start or healed, [step], calibration=calibration)
        cost = {
            "CPU s": round(time.process_time() - cpu),
            "wall s": round(time.perf_counter() - wall),
        }
        rows.append({"case": case.what, "state": state, **_quality(healed, original), **cost})
        rows[-1]["at least"] = None
    rows[-1]["at least"] = " / ".join(map(str, case.at_least))
    return rows


def _quality(program: Program, original: Program) -> Row:
    found = scores(program, original)
    values = (*found[HELD_OUT], found[EVERYDAY][1])
    texts = [f"{value:.4f}" for value in values]
    return dict(zip(("Spearman", "mean cosine", "everyday"), texts, strict=True))


if __name__ == "__main__":
    main()
