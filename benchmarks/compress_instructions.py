"""Executed instructions on the Cortex-A72 after compression, against multiply-adds.

python -m benchmarks.compress_instructions [--json FILE]

Real models execute other instructions than those that multiply; a pass is worth its loss only where
these fall along. `fall` is the share of the instructions that is gone by the share of the
multiply-adds that is gone: 1 is proportional.
"""

import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path

import torch
from torch import nn

import penjing

from .networks import build_float
from .table import Row, publish, save

TARGET = "arm-a72"
CASES: dict[str, tuple[str, ...]] = {
    "resnet18": ("prune-channels{macs=0.5}", "prune-channels{macs=0.25}"),
    "mobilenet_v2": ("prune-channels{macs=0.5}",),
    "minilm": (
        "prune-channels{ratio=0.5,scope=layer,kinds=(features)}",
        "prune-channels{ratio=0.5,scope=layer,kinds=(heads)}",
        "remove-layers{count=3,score=influence,heal=false}",
    ),
}


def main() -> None:
    """Compile every network whole and compressed; print a line for each."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help=f"some of {', '.join(CASES)} (default: all)")
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    if unknown := set(options.networks) - set(CASES):
        parser.error(f"unknown network {', '.join(sorted(unknown))}")
    rows: list[Row] = []
    for name in options.networks or CASES:
        rows += measure(name, *build_float(name), CASES[name])
        save(rows, options.json)
    publish(rows, options.json)


def measure(
    name: str,
    model: nn.Module,
    inputs: tuple[torch.Tensor, ...],
    passes: tuple[str, ...],
    target: str = TARGET,
) -> list[Row]:
    """A row for the whole network and one for what each pass makes of it."""
    rows: list[Row] = []
    for each in ("", *passes):
        print(f"{name}: {each or 'whole'}", file=sys.stderr, flush=True)
        needs_data = each.startswith("remove-layers")
        artifact = penjing.compile(
            model,
            inputs,
            target=target,
            passes=[each] if each else (),
            calibration=[inputs] if needs_data else None,
        )
        row: Row = {"network": name, "pass": each or "none"}
        row |= {"macs": artifact.report.macs}
        row["instructions"] = artifact.count_instructions(*inputs)
        whole = rows[0] if rows else row
        row["macs left"] = row["macs"] / whole["macs"]
        row["instructions left"] = row["instructions"] / whole["instructions"]
        gone = 1 - row["macs left"]
        row["fall"] = (1 - row["instructions left"]) / gone if gone else None
        rows.append(row)
    return rows


if __name__ == "__main__":
    main()
