"""Teach a tiny network three gestures of a wrist and write a project for a microcontroller."""

import argparse
from pathlib import Path

import torch
from torch import nn

import penjing
from penjing.passes import Quantize

GESTURES = ("still", "shake", "circle")
SAMPLES = 64  # of the acceleration along three axes in g, one every 20 ms


def motions(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Accelerations [count, 3, 1, SAMPLES] and their gestures."""
    labels = torch.arange(count) % len(GESTURES)
    rate = (0.08 + 0.08 * torch.rand(count, 1)) * 6.2832
    phase = rate * torch.arange(SAMPLES) + 6.2832 * torch.rand(count, 1)
    size = 0.5 + torch.rand(count, 1)
    moves, turns = (labels > 0)[:, None] * size, (labels == 2)[:, None] * size
    x = torch.stack([moves * phase.sin(), turns * phase.cos(), torch.ones_like(phase)], 1)
    return (x + 0.1 * torch.randn_like(x))[:, :, None], labels


def train(model: nn.Module) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(150):
        x, labels = motions(96)
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), labels).backward()
        optimizer.step()
    model.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="cortex-m4,flash=64KB,ram=16KB")
    parser.add_argument("--output", type=Path, default=Path("build"))
    options = parser.parse_args()
    torch.manual_seed(0)
    first = (nn.Conv2d(3, 8, (1, 5), stride=(1, 2), padding=(0, 2)), nn.ReLU())
    second = (nn.Conv2d(8, 16, (1, 5), stride=(1, 2), padding=(0, 2)), nn.ReLU())
    head = (nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, len(GESTURES)))
    model = nn.Sequential(*first, *second, *head)
    train(model)
    x, _ = motions(96)
    artifact = penjing.compile(
        model, (x[:1],), target=options.target, name="gesture", passes=[Quantize()], calibration=[x]
    )
    artifact.save(options.output, project=True)
    print(artifact.report.summary())


if __name__ == "__main__":
    main()
