"""Compile a small classifier for the C program beside this script."""

import argparse
from pathlib import Path

import torch
from torch import nn

import penjing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="host")
    parser.add_argument("--output", type=Path, default=Path("build"))
    options = parser.parse_args()

    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3), nn.Softmax(dim=1)).eval()
    x = torch.tensor([[5.1, 3.5, 1.4, 0.2]])
    artifact = penjing.compile(model, (x,), target=options.target, name="flower")
    artifact.save(options.output)
    print("PyTorch:", *(f"{value:.4f}" for value in model(x)[0].tolist()))


if __name__ == "__main__":
    main()
