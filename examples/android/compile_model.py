"""Train a small CNN on handwritten digits and compile it for the app beside this script."""

import argparse
import shutil
import tempfile
from pathlib import Path

import torch
from sklearn.datasets import load_digits
from torch import nn

import penjing

MODEL = Path(__file__).parent / "app" / "src" / "main" / "cpp" / "model"


def train() -> tuple[nn.Module, torch.Tensor]:
    """A classifier of 8x8 images, and one image."""
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    labels = torch.tensor(digits.target)
    first = [nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.Flatten()]
    model = nn.Sequential(*first, *second, nn.Linear(32 * 4 * 4, 10), nn.Softmax(1))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(6):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.nll_loss(model(images[batch]).log(), labels[batch]).backward()
            optimizer.step()
    return model.eval(), images[:1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="adreno-7xx")
    parser.add_argument("--output", type=Path, default=MODEL)
    options = parser.parse_args()

    torch.manual_seed(0)
    model, image = train()
    artifact = penjing.compile(model, (image,), target=options.target, name="digits")
    options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        artifact.save(folder)
        for file in ("digits.h", "libdigits.a"):
            shutil.copy(Path(folder, file), options.output)
    print(f"{options.output}: {artifact.report.library_bytes} bytes for {options.target}")


if __name__ == "__main__":
    main()
