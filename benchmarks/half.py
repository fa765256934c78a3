"""What float16 changes: instructions and bytes of single layers on ARM, counted by the emulator.

python -m benchmarks.half

The error is that of the largest output against PyTorch in float64, as a share of it.
"""

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import penjing
from penjing.passes import ReducePrecision

from .table import Row, publish


@dataclass(frozen=True)
class Case:
    """A layer, its input and the CPU."""

    name: str
    target: str
    layer: nn.Module
    shape: tuple[int, ...]


def cases() -> list[Case]:
    """A product, a convolution, and one step of a decoder."""
    torch.manual_seed(0)
    return [
        Case("linear, 128 x 384 -> 384", "arm-a76", nn.Linear(384, 384), (128, 384)),
        Case(
            "3x3 convolution, 28x28x128",
            "arm-a76",
            nn.Conv2d(128, 128, 3, padding=1),
            (1, 128, 28, 28),
        ),
        Case("linear, 1 x 768 -> 3072", "arm-a72", nn.Linear(768, 3072), (1, 768)),
    ]


VARIANTS: dict[str, dict[str, Any]] = {
    "float32": {},
    "float32, no Winograd": {"winograd": 0},
    "float16 weights": {"passes": [ReducePrecision(weights_only=True)]},
    "float16 storage": {"passes": [ReducePrecision()]},
    "bfloat16 storage": {"passes": [ReducePrecision(dtype="bfloat16")]},
    "float16 arithmetic": {"passes": [ReducePrecision()], "half": "arithmetic"},
}


def main() -> None:
    """Print one row for every case and variant."""
    rows: list[Row] = []
    for case in cases():
        x = torch.randn(case.shape)
        exact = copy.deepcopy(case.layer).double()(x.double()).detach()
        for name, options in VARIANTS.items():
            lacks_it = not penjing.targets.get(case.target).has_half_arithmetic
            is_linear = isinstance(case.layer, nn.Linear)
            if ("half" in options and lacks_it) or ("winograd" in options and is_linear):
                continue
            artifact = penjing.compile(case.layer.eval(), (x,), target=case.target, **options)
            (got,) = artifact.run(x)
            error = (torch.from_numpy(got) - exact).abs().max() / exact.abs().max()
            rows.append(
                {
                    "layer": case.name,
                    "target": case.target,
                    "variant": name,
                    "instructions": artifact.count_instructions(x),
                    "weights": artifact.report.weights_bytes,
                    "error": f"{float(error):.0e}",
                }
            )
    publish(rows, None)


if __name__ == "__main__":
    main()
