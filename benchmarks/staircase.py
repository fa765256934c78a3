"""How the work of kernels grows with the number of channels: executed instructions on ARM.

python -m benchmarks.staircase [--layers LAYER ...] [--counts N ...] [--target T] [--json FILE]

A pair of layers, one that makes the channels and one that reads them, is compiled for every count
and runs once under the emulator, which counts instructions exactly; a depthwise layer is alone.
`per mac` is what a multiply-add costs at that count. Kernels compute whole vectors of channels, so
the count just above a multiple of the vector width costs nearly as much as the next multiple, or
more. `estimate` is what PruneChannels(instructions=...) counts with.
"""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

import penjing
from penjing import targets
from penjing.compiler.frontend.trace import trace
from penjing.passes.channels.instructions import instructions

from .table import Row, publish

COUNTS = (*range(24, 41), 48, 56, 64)
Layer = tuple[nn.Module, torch.Tensor]


def pointwise(channels: int) -> Layer:
    """Two 1x1 convolutions of 14x14 images."""
    return _pair(nn.Conv2d(64, channels, 1), nn.Conv2d(channels, 64, 1)), _image(64)


def conv3x3(channels: int) -> Layer:
    """Two 3x3 convolutions of 14x14 images."""
    layers = nn.Conv2d(32, channels, 3, padding=1), nn.Conv2d(channels, 32, 3, padding=1)
    return _pair(*layers), _image(32)


def depthwise(channels: int) -> Layer:
    """A 3x3 depthwise convolution of 14x14 images."""
    return nn.Conv2d(channels, channels, 3, padding=1, groups=channels), _image(channels)


def linear(channels: int) -> Layer:
    """Two linear layers on 64 tokens."""
    return _pair(nn.Linear(64, channels), nn.Linear(channels, 64)), torch.randn(64, 64)


LAYERS: dict[str, Callable[[int], Layer]] = {
    "conv 1x1": pointwise,
    "conv 3x3": conv3x3,
    "depthwise 3x3": depthwise,
    "linear": linear,
}


def main() -> None:
    """Count every layer once for each number of channels."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--layers", nargs="+", choices=LAYERS, default=list(LAYERS))
    parser.add_argument("--counts", nargs="+", type=int, default=COUNTS)
    parser.add_argument("--target", default="arm-a72")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also save the numbers")
    options = parser.parse_args()
    rows = [row for name in options.layers for row in climb(name, options.counts, options.target)]
    publish(rows, options.json)


def climb(name: str, counts: Sequence[int], target: str) -> list[Row]:
    """One row for each number of channels, in rising order."""
    rows = []
    for channels in sorted(counts):
        torch.manual_seed(0)
        model, x = LAYERS[name](channels)
        artifact = penjing.compile(model.eval(), (x,), target=target)
        executed = artifact.count_instructions(x)
        rows.append(
            {
                "layer": name,
                "channels": channels,
                "macs": artifact.report.macs,
                "instructions": executed,
                "per mac": executed / artifact.report.macs,
                "estimate": _estimate(model, x, target),
            }
        )
    return rows


def _estimate(model: nn.Module, x: torch.Tensor, target: str) -> int:
    program = trace(model.eval(), (x,))
    nodes = program.graph.nodes
    return round(sum(instructions(node, targets.get(target)) for node in nodes))


def _pair(first: nn.Module, second: nn.Module) -> nn.Module:
    return nn.Sequential(first, nn.ReLU(), second)


def _image(channels: int) -> torch.Tensor:
    return torch.randn(1, channels, 14, 14)


if __name__ == "__main__":
    main()
