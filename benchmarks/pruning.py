"""Accuracy on handwritten digits after channel pruning, beside Torch-Pruning.

python -m benchmarks.pruning [--network residual] [--seeds 0 1 ...] [--python PATH] [--json FILE]

For each seed a network is trained (benchmarks/digits.py), pruned to a quarter and to a tenth of its
multiply-adds, and healed in two ways: by training on the labels alone, and by distillation from
the unpruned network. Everybody starts from the same weights and sees the same images as often, in
FINE_TUNING_EPOCHS epochs with one cycle of the same learning rate. Ours is the pass `Distill`,
which keeps the weights that are best on the validation part; Torch-Pruning has no training of its
own and gets the loop that trained the network. The table has the percentage points lost on the
test part (one image is 0.28), the mean over the seeds and its standard error: three seeds in a row
can make any of these recipes the best one, so there are twelve. --python names an interpreter that
has torch-pruning; without, only our own rows are measured.
"""

import json
import math
import statistics
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

import penjing
from penjing.compiler.batched_run import run_batched
from penjing.compiler.ir.program import Program
from penjing.compiler.macs import macs
from penjing.passes import Distill, PruneChannels

from .digits import (
    BATCH,
    FINE_TUNING_EPOCHS,
    GRADIENT_IMAGES,
    KEPT,
    NETWORKS,
    PEAK,
    TEMPERATURE,
    Digits,
    accuracy,
    shuffled,
    trained,
)
from .table import Row, markdown, save

SEEDS = range(12)
RECIPES: dict[str, Row] = {
    "penjing, L2 per layer": {"criterion": "group-l2", "scope": "layer", "refit": False},
    "penjing, L2 in 24 steps": {"criterion": "group-l2", "steps": 24, "refit": False},
    "penjing, OBD, refitted": {"criterion": "obd"},
}
HEALING: dict[str, Row] = {
    "fine-tuned %": {"output": "none", "label_weight": 1.0},
    "distilled %": {"output": "kl", "output_weight": 0.5, "label_weight": 0.5},
}


class Shuffled:
    """Batches of training images with labels, drawn and moved anew in every epoch."""

    def __init__(self, digits: Digits) -> None:
        self.digits = digits

    def __len__(self) -> int:
        return len(self.digits.train[0]) // BATCH

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return shuffled(self.digits)


def main() -> None:
    """Measure every seed and print the means."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--network", choices=list(NETWORKS), default="residual")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--python", metavar="PATH", help="has torch-pruning")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    rows: list[Row] = []
    for seed in options.seeds:
        print(f"seed {seed}", file=sys.stderr, flush=True)
        rows += measure(options.network, seed, options.python)
        save(rows, options.json)
    print(markdown(table(rows)))


def measure(network: str, seed: int, python: str | None) -> list[Row]:
    """One row for each way to prune a trained network, and for each size."""
    model, digits = trained(network, seed)
    rows: list[Row] = []
    for tool, recipe in RECIPES.items():
        rows += [{"tool": tool, **prune(model, digits, kept, recipe)} for kept in KEPT]
    if python is not None:
        rows += _peer(network, model, seed, python)
    base = accuracy(model, digits.test)
    common = {"network": network, "seed": seed, "unpruned %": base}
    return [{**common, **row} for row in rows]


def prune(model: nn.Module, digits: Digits, kept: float, recipe: Row) -> Row:
    """Prune to the share `kept` of the multiply-adds, heal, measure."""
    images, labels = (part[:GRADIENT_IMAGES] for part in digits.train)
    original = penjing.trace(model, (images[:1],))
    pruning = PruneChannels(macs=kept, round_to=1, **recipe)
    smaller = penjing.optimize(original, [pruning], calibration=[(images, labels)])
    row: Row = {"kept": kept, "macs": program_macs(smaller)}
    row["untrained %"] = program_accuracy(smaller, digits)
    for name, losses in HEALING.items():
        torch.manual_seed(0)
        healing = Distill(
            teacher=original,
            data=Shuffled(digits),
            validation=[digits.validation],
            batch_size=0,
            epochs=FINE_TUNING_EPOCHS,
            lr=PEAK,
            warmup=0.3,
            clip=0,
            temperature=TEMPERATURE,
            hidden_weight=0,
            **losses,
        )
        row[name] = program_accuracy(penjing.optimize(smaller, [healing]), digits)
    return row


def program_accuracy(program: Program, digits: Digits) -> float:
    """The share of the test part that is recognized, in percent."""
    return accuracy(lambda images: run_batched(program, [images]).outputs[0], digits.test)


def program_macs(program: Program) -> int:
    """Multiply-adds of one run."""
    return sum(macs(node) for node in program.graph.nodes if node.op == "call_function")


def table(rows: Sequence[Row]) -> list[Row]:
    """The points lost, mean over the seeds ± its standard error: a line for each tool."""
    lines: list[Row] = []
    for tool in dict.fromkeys(row["tool"] for row in rows):
        line: Row = {"tool": tool}
        for kept in KEPT:
            chosen = [row for row in rows if (row["tool"], row["kept"]) == (tool, kept)]
            for state in ("untrained", "fine-tuned", "distilled"):
                lost = [row[f"{state} %"] - row["unpruned %"] for row in chosen]
                line[f"{1 - kept:.0%} fewer, {state}"] = _mean(lost)
        lines.append(line)
    return lines


def _mean(points: Sequence[float]) -> str:
    mean = f"{statistics.fmean(points):+.2f}"
    if len(points) == 1:
        return mean
    return f"{mean} ± {statistics.stdev(points) / math.sqrt(len(points)):.2f}"


def _peer(network: str, model: nn.Module, seed: int, python: str) -> list[Row]:
    """What Torch-Pruning makes of the same weights, in its own environment."""
    with tempfile.TemporaryDirectory() as name:
        state, found = Path(name) / "state.pt", Path(name) / "rows.json"
        torch.save(model.state_dict(), state)
        arguments = [network, str(state), str(seed), str(found)]
        subprocess.run([python, "-m", "benchmarks.pruning_peer", *arguments], check=True)
        rows: list[Row] = json.loads(found.read_text())
    return rows


if __name__ == "__main__":
    main()
