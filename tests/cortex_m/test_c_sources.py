"""Models for microcontrollers as C files: their bytes, what they say, what they refuse."""

from pathlib import Path

import torch
from torch import nn

from .host_models import check_bytes, quantized


class Residual(nn.Module):
    """One of each layer that small networks have."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, stride=2), nn.BatchNorm2d(8))
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.widen = nn.Conv2d(8, 12, 1)
        self.square = nn.Conv2d(12, 12, 3, padding=1)
        self.last = nn.Linear(12, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.first(x).relu()
        x = self.widen(self.depthwise(x).relu()).relu()
        x = (self.square(x) + x).relu()
        return torch.softmax(self.last(x.mean((2, 3))), 1)


def test_an_int8_network_gives_the_bytes_of_pytorch(tmp_path: Path) -> None:
    program = quantized(Residual(), torch.randn(1, 3, 9, 10))
    artifact = check_bytes(program, tmp_path)
    assert {spec.dtype for spec in (*program.inputs, *program.outputs)} == {"int8"}
    assert sorted(artifact.manifest.files) == ["net.c", "net.h", "net_kernels.h", "net_weights.c"]
