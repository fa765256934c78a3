"""Networks of random odd sizes on emulated boards: the bytes of PyTorch, inside of the guards."""

import random

import numpy as np
import pytest
import torch
from torch import nn

import penjing
from penjing.compiler.frontend.trace import trace
from penjing.compiler.pass_manager import optimize
from penjing.passes import Quantize
from penjing.passes.pipeline import microcontroller_pipeline

CORES = ("cortex-m0plus", "cortex-m4", "cortex-m55")


class Network(nn.Module):
    """Some layers with 1 to 20 channels, a sum of two branches, a classifier."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__()
        self.channels = draw.randint(1, 5)
        self.size = (draw.randint(5, 17), draw.randint(5, 17))
        layers: list[nn.Module] = []
        channels = self.channels
        for _ in range(draw.randint(1, 4)):
            layer, channels = _layer(draw, channels)
            layers.append(layer)
        self.body = nn.Sequential(*layers)
        self.left, self.right = _conv(channels, 7, 3, padding=1), _conv(channels, 7, 1)
        self.pool = draw.choice([nn.AdaptiveAvgPool2d(1), nn.MaxPool2d(2, ceil_mode=True)])
        self.last = nn.LazyLinear(draw.randint(1, 9))
        self.softmax = draw.random() < 0.5

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.body(x)
        x = self.pool(torch.relu(self.left(x) + self.right(x)))
        y: torch.Tensor = self.last(x.flatten(1))
        return y.softmax(1) if self.softmax else y


def _layer(draw: random.Random, channels: int) -> tuple[nn.Module, int]:
    kind = draw.choice(["dense", "dense", "depthwise", "pointwise"])
    activation = draw.choice([nn.ReLU(), nn.ReLU6(), nn.Identity(), nn.Hardswish()])
    if kind == "depthwise":
        layer = _conv(channels, channels, 3, padding=1, stride=draw.choice([1, 2]), groups=channels)
        return nn.Sequential(layer, activation), channels
    out = draw.randint(1, 20)
    sizes: list[int | tuple[int, int]] = [2, 3, (3, 2), (5, 3)]
    kernel = 1 if kind == "pointwise" else draw.choice(sizes)
    stride = draw.choice([1, 1, 2])
    padding = 0 if kernel == 1 else draw.choice([1, (1, 1)])
    layer = _conv(channels, out, kernel, stride=stride, padding=padding)
    return nn.Sequential(layer, activation), out


def _conv(channels: int, out: int, kernel: int | tuple[int, int], **options: object) -> nn.Module:
    return nn.Conv2d(channels, out, kernel, **options)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("seed", range(8))
def test_random_networks(seed: int) -> None:
    torch.manual_seed(seed)
    model = Network(random.Random(seed))
    x = torch.randn(1, model.channels, *model.size)
    model(x)  # tells the last layer its width
    passes = microcontroller_pipeline([Quantize(outputs="integers")])
    batches = [torch.randn(4, *x.shape[1:]) for _ in range(3)]
    program = optimize(trace(model.eval(), (x,)), passes, calibration=batches)
    inputs = [torch.randint(-128, 128, x.shape, dtype=torch.int8)]
    inputs.append(torch.where(inputs[0] > 0, 127, -128).to(torch.int8))
    wanted = [program.run_flat(given)[0].numpy() for given in inputs]
    for core in CORES:
        artifact = penjing.compile(program, target=core, name="net", certify=False)
        for given, expected in zip(inputs, wanted, strict=True):
            np.testing.assert_array_equal(artifact.run(given)[0], expected, err_msg=core)
