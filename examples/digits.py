"""Train a small CNN on scikit-learn's handwritten digits, compile it, compare the accuracies."""

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import penjing


def make_model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(32 * 4 * 4, 10),
    )


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int = 6) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(images)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    model.eval()


def main() -> None:
    torch.manual_seed(0)
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    labels = torch.tensor(digits.target)
    train_x, test_x, train_y, test_y = train_test_split(images, labels, random_state=0)

    model = make_model()
    train(model, train_x, train_y)
    artifact = penjing.compile(model, (test_x[:1],), target="host", name="digits")

    with torch.no_grad():
        expected = model(test_x).argmax(1).numpy()
    got = np.array([artifact.run(image[None])[0].argmax() for image in test_x])
    truth = test_y.numpy()
    print(f"PyTorch  accuracy {np.mean(expected == truth):.4f} on {len(truth)} images")
    print(f"compiled accuracy {np.mean(got == truth):.4f}, {np.sum(got != expected)} differ")
    print(f"library {artifact.report.library_bytes} B, arena {artifact.report.arena_bytes} B")


if __name__ == "__main__":
    main()
