"""Teach a small network ten spoken words, quantize it, and run it on an emulated Cortex-M4."""

import argparse
from typing import Any

import numpy as np
import torch
from spoken_words import WORDS, features, say  # type: ignore[import-not-found]
from torch import nn

import penjing
from penjing.passes import Quantize


def layer(inputs: int, outputs: int, kernel: int | tuple[int, int], **options: Any) -> nn.Module:
    convolution = nn.Conv2d(inputs, outputs, kernel, bias=False, **options)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def ds_cnn() -> nn.Module:
    """The keyword spotter of MLPerf Tiny: depthwise separable, 2.7 M multiply-adds."""
    layers = [layer(1, 64, (10, 4), stride=2, padding=(5, 1))]
    for _ in range(4):
        layers += [layer(64, 64, 3, padding=1, groups=64), layer(64, 64, 1)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, len(WORDS)))


def listen(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    random, labels = np.random.default_rng(seed), torch.arange(count) % len(WORDS)
    return torch.tensor(np.stack([features(say(WORDS[k], random)) for k in labels])), labels


def train(model: nn.Module, x: torch.Tensor, labels: torch.Tensor, epochs: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(50):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), labels[batch]).backward()
            optimizer.step()
    model.eval()


parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--target", default="cortex-m4,flash=256KB,ram=64KB")
options = parser.parse_args()
torch.manual_seed(0)
(train_x, train_labels), (x, labels) = listen(1500, seed=0), listen(96, seed=1)
model = ds_cnn()
train(model, train_x, train_labels, epochs=5)
artifact = penjing.compile(
    model, (x[:1],), target=options.target, passes=[Quantize()], calibration=train_x[:200].split(50)
)
real = model(x).argmax(1)
board = torch.tensor([int(artifact.run(sample)[0].argmax()) for sample in x.split(1)])
for name, found in (("PyTorch, float32", real), (f"{artifact.report.target}, int8", board)):
    print(f"{name}: accuracy {(found == labels).float().mean():.3f}")
print(f"the same word for {int((real == board).sum())} of {len(x)}")
print(f"{artifact.count_instructions(x[:1]):,} instructions for each word")
artifact.save("build/keyword_spotting", project=True)
print(artifact.report.summary())
