"""The real MiniLM made smaller: what is left of its embeddings.

python -m benchmarks.compress [CASE ...] [--json FILE]   (20 to 30 minutes of CPU a case)

Each case is measured three times: as the simplest choice leaves it, after the healing in closed
form that the pass does by itself, and after distillation on top of that. Spearman and mean cosine
are those of benchmarks/sentences.py on held-out pairs; `everyday` is the mean cosine on sentences
of everyday life. `at least` is what healing and distillation together must reach.

Most sentences are short, so the programs that are healed and trained take SHORT tokens. Their
weights are then those of a plain PyTorch encoder with fewer layers or narrower ones, which is
judged on whole sentences.
"""

import sys
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

import penjing
from penjing.compiler.ir.program import Program
from penjing.compiler.training import Callback, Training
from penjing.passes import Distill, Pass, PruneChannels, RemoveLayers

from .sentences import (
    EVERYDAY,
    HELD_OUT,
    SentenceEncoder,
    calibration_batches,
    encoder,
    scores,
)
from .table import Row, publish, save

SHORT = 32  # tokens; nineteen of twenty held-out sentences have no more than 36
HEALED_ON, DISTILLED_ON = 1024, 24576  # sentences
MEMORY = 8 << 30  # bytes of what the teacher says, enough for all of it


@dataclass(frozen=True)
class Case:
    """One way to make the model smaller, without and with healing."""

    what: str
    naive: Pass
    healing: Pass
    at_least: tuple[float, float]  # Spearman, mean cosine
    steps: int  # of distillation


def _layers(count: int, at_least: tuple[float, float], steps: int) -> Case:
    naive = RemoveLayers(count=count, score="influence", heal=False)
    what = f"{count} of 6 layers removed"
    return Case(what, naive, RemoveLayers(count=count), at_least, steps)


CASES = {
    "layers-1": _layers(1, (0.995, 0.98), steps=1250),
    "layers-2": _layers(2, (0.990, 0.955), steps=1500),
    "layers-3": _layers(3, (0.983, 0.91), steps=1700),
    "ffn": Case(
        "FFN width halved",
        PruneChannels(ratio=0.5, scope="layer", kinds=("features",), refit=False),
        PruneChannels(ratio=0.5, scope="layer", kinds=("features",), criterion="reconstruction"),
        (0.995, 0.965),
        steps=1200,
    ),
}


def main() -> None:
    """Measure the cases and print a line for each state."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", help=f"some of {', '.join(CASES)} (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if unknown := set(options.cases) - set(CASES):
        parser.error(f"unknown case {', '.join(sorted(unknown))}")
    original = penjing.trace(encoder(), calibration_batches(1, 1, SHORT)[0])
    rows: list[Row] = []
    for name in options.cases or CASES:
        rows += measure(CASES[name], original)
        save(rows, options.json)
    publish(rows, options.json)


def measure(case: Case, original: Program) -> list[Row]:
    """A row for each of the three states."""
    calibration = calibration_batches(HEALED_ON, 16, SHORT)
    distilling = Distill(
        steps=case.steps,
        batch_size=64,
        optimizer="muon",
        lr=3e-4,
        warmup=0.05,
        precision="bfloat16",
        relation_weight=1.0,
        teacher=original,
        data=calibration_batches(DISTILLED_ON, 16, SHORT),
        validation_part=0.01,
        validate_every=100,
        cache_bytes=MEMORY,
        callbacks=(_Progress(),),
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
        rows.append({"case": case.what, "state": state, **quality(healed), **cost})
        rows[-1]["at least"] = None
    rows[-1]["at least"] = " / ".join(map(str, case.at_least))
    return rows


class _Progress(Callback):
    """Says how far a run of half an hour has come."""

    def on_validation(self, training: Training) -> None:
        last = training.validations[-1]
        print(
            f"  step {last.step} of {training.steps}: {last.value:.5f}", file=sys.stderr, flush=True
        )


def quality(program: Program) -> Row:
    """How well the embeddings of a program's weights hold, on whole sentences."""
    found = scores(with_weights_of(program), encoder())
    values = (*found[HELD_OUT], found[EVERYDAY][1])
    texts = [f"{value:.4f}" for value in values]
    return dict(zip(("Spearman", "mean cosine", "everyday"), texts, strict=True))


def with_weights_of(program: Program) -> SentenceEncoder:
    """The encoder in PyTorch, with the layers and widths that a program has."""
    weights, model = program.weights, encoder()
    layers = model.bert.encoder.layer
    for number, layer in enumerate(layers):
        prefix = f"bert.encoder.layer.{number}"
        if f"{prefix}.output.dense.weight" not in weights:
            layers[number] = _Skipped()
            continue
        hidden, width = weights[f"{prefix}.output.dense.weight"].shape
        layer.intermediate.dense = nn.Linear(hidden, width)
        layer.output.dense = nn.Linear(width, hidden)
    own = model.state_dict()
    model.load_state_dict({**own, **{k: v for k, v in weights.items() if k in own}})
    return model.eval()


class _Skipped(nn.Module):
    """In the place of a layer that was removed."""

    def forward(self, hidden: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
        return hidden


if __name__ == "__main__":
    main()
