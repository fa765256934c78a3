"""Compile MobileNetV2 for a phone's GPU, run its kernels on an OpenCL device of this machine.

python gpu_mobilenet.py [SIZE]
"""

import sys
from itertools import pairwise

import torch
from torch import nn

import penjing


def layer(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs))


class Bottleneck(nn.Module):
    """Expand the channels, filter each, project; added to the input where that fits."""

    def __init__(self, inputs: int, outputs: int, factor: int, stride: int) -> None:
        super().__init__()
        wide = inputs * factor
        expand = [layer(inputs, wide, 1), nn.ReLU6()] if factor > 1 else []
        filters = [layer(wide, wide, 3, stride, groups=wide), nn.ReLU6()]
        self.layers = nn.Sequential(*expand, *filters, layer(wide, outputs, 1))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layers(x)
        return x + y if self.adds else y


def mobilenet() -> nn.Module:
    channels = [32, 16, *[24] * 2, *[32] * 3, *[64] * 4, *[96] * 3, *[160] * 3, 320]
    strides = [1, 2, 1, 2, 1, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1]
    blocks = [
        Bottleneck(*pair, 6 if index else 1, stride)
        for index, (pair, stride) in enumerate(zip(pairwise(channels), strides, strict=True))
    ]
    head = [layer(320, 1280, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(layer(3, 32, 3, 2), nn.ReLU6(), *blocks, *head, nn.Linear(1280, 1000))


torch.manual_seed(0)
size = int(sys.argv[1]) if sys.argv[1:] else 224
model, x = mobilenet().eval(), torch.randn(1, 3, size, size)
phone = penjing.compile(model, (x,), target="adreno-7xx", name="mobilenet")
print(phone.report.summary())
phone.save("build/mobilenet")

here = penjing.compile(model, (x,), target="opencl")  # float32, beside a CPU like this one
expected = model(x).detach().numpy()
print("error:", abs(here.run(x)[0] - expected).max() / abs(expected).max())
print(here.profile(x))
