"""`penjing run`."""

import json
import sys
from argparse import Namespace
from typing import Any

import numpy as np

from ..artifact import load
from ..manifest import TensorEntry
from .arrays import read_inputs, save_outputs

_SUMMARY = ("min", "max", "mean")


def run(options: Namespace) -> None:
    """Run a saved artifact once; save its outputs or print what they are like."""
    artifact = load(options.directory)
    entries = artifact.manifest.inputs
    inputs = read_inputs(options.input, entries, seed=options.seed)
    if entries and not options.input:
        print(f"no --input given: random values, seed {options.seed}", file=sys.stderr)
    outputs = artifact.run(*inputs)
    if options.output:
        save_outputs(options.output, outputs)
    rows = [
        _describe(entry, output)
        for entry, output in zip(artifact.manifest.outputs, outputs, strict=True)
    ]
    count = artifact.count_instructions(*inputs) if options.count_instructions else None
    if options.json:
        print(json.dumps({"outputs": rows, "instructions": count}, indent=1))
        return
    for entry, row in zip(artifact.manifest.outputs, rows, strict=True):
        summary = "".join(f"  {key} {row[key]:.6g}" for key in _SUMMARY if key in row)
        print(f"{entry.name}: {entry.spec}{summary}")
    if count is not None:
        print(f"{count:,} instructions")


def _describe(entry: TensorEntry, output: np.ndarray) -> dict[str, Any]:
    row: dict[str, Any] = {
        "name": entry.name,
        "dtype": entry.spec.dtype,
        "shape": list(entry.spec.shape),
    }
    if output.size:
        values = output.astype(np.float64)
        row |= {key: float(getattr(values, key)()) for key in _SUMMARY}
    return row
