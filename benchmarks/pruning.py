"""Accuracy on handwritten digits after channel pruning, beside Torch-Pruning.

python -m benchmarks.pruning [--network residual] [--seeds 0 1 2] [--python PATH] [--json FILE]

For each seed a network is trained (benchmarks/digits.py), pruned to a quarter and to a tenth of its
multiply-adds, and fine-tuned; everybody starts from the same weights and gets the same fine-tuning:
FINE_TUNING_EPOCHS epochs of the recipe that trained the network, with labels and nothing else.
Columns are percentage points lost on the test part, the mean over the seeds; `worst` is the worst
seed. --python names an interpreter that has torch-pruning; without, only our own rows are measured.
"""

import json
import statistics
import subprocess
import sys
import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

import penjing
from penjing.compiler.batched_run import run_batched
from penjing.compiler.ir.program import Program
from penjing.compiler.lowering.macs import macs
from penjing.passes import PruneChannels

from .digits import GRADIENT_IMAGES, KEPT, NETWORKS, SEEDS, Digits, accuracy, fine_tune, trained
from .table import Row, markdown, save

RECIPES = {
    "penjing, L2 global": {"criterion": "l2"},
    "penjing, L2 uniform": {"criterion": "l2", "scope": "layer"},
    "penjing, Taylor global": {"criterion": "taylor"},
    "penjing, OBD global": {"criterion": "obd"},
}


class Trainable(nn.Module):
    """A program as a module of any batch size, to be trained as any other."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program, self.weights = program, program.module

    def forward(self, x_nchw: Tensor) -> Tensor:
        return run_batched(self.program, [x_nchw], normalize_by_batch=self.training).outputs[0]


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
    """One row for the trained network, one for each way to prune it."""
    model, digits = trained(network, seed)
    base = accuracy(model, digits.test)
    rows: list[Row] = [{"tool": "not pruned", "kept": 1.0, "accuracy %": base}]
    for tool, recipe in RECIPES.items():
        rows += [{"tool": tool, **prune(model, digits, seed, kept, **recipe)} for kept in KEPT]
    if python is not None:
        rows += _peer(network, model, seed, python)
    common = {"network": network, "seed": seed}
    return [{**common, **row, "lost": base - row["accuracy %"]} for row in rows]


def prune(model: nn.Module, digits: Digits, seed: int, kept: float, **recipe: str) -> Row:
    """Prune to the share `kept` of the multiply-adds, fine-tune, measure."""
    torch.manual_seed(seed)
    images, labels = (part[:GRADIENT_IMAGES] for part in digits.train)
    program = penjing.trace(model, (images[:1],))
    whole = program_macs(program)
    program = penjing.optimize(
        program,
        [PruneChannels(macs=kept, round_to=1, **recipe)],
        calibration=[(images, labels)],
    )
    smaller = Trainable(program).eval()
    row = {"kept": kept, "macs": program_macs(program), "share": program_macs(program) / whole}
    row["untrained %"] = accuracy(smaller, digits.test)
    fine_tune(smaller, digits)
    return {**row, "accuracy %": accuracy(smaller, digits.test)}


def program_macs(program: Program) -> int:
    """Multiply-adds of one run."""
    return sum(macs(node) for node in program.graph.nodes if node.op == "call_function")


def table(rows: Sequence[Row]) -> list[Row]:
    """The mean over the seeds: a line for each tool."""
    lines: list[Row] = []
    for tool in dict.fromkeys(row["tool"] for row in rows):
        line: Row = {"tool": tool}
        for kept in KEPT:
            chosen = [row for row in rows if row["tool"] == tool and row["kept"] in (kept, 1.0)]
            title = f"{1 - kept:.0%} fewer"
            line[f"{title}: untrained %"] = _mean(chosen, "untrained %")
            line[f"{title}: accuracy %"] = _mean(chosen, "accuracy %")
            line[f"{title}: lost"] = _mean(chosen, "lost")
            line[f"{title}: worst"] = f"{max(row['lost'] for row in chosen):+.2f}"
        lines.append(line)
    return lines


def _mean(rows: Sequence[Row], name: str) -> str | None:
    values = [row[name] for row in rows if name in row]
    if not values:
        return None
    return f"{statistics.fmean(values):{'+.2f' if name == 'lost' else '.2f'}}"


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
