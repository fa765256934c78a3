"""Train a CNN on handwritten digits, round its weights to 2 bits, and win back what that loses."""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import penjing
from penjing.compiler.pass_base import Pass
from penjing.passes import Quantize, QuantizeAware


def layer(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, epochs: int = 8) -> None:
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

    head = (nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 4 * 4, 10))
    model = nn.Sequential(layer(1, 16), layer(16, 16), *head)
    train(model, train_x, train_y)

    ways: dict[str, list[Pass]] = {
        "float32": [],
        "rounded after training": [Quantize(weight_bits=2)],
        "trained rounded": [QuantizeAware(weight_bits=2, output="kl", epochs=6, lr=1e-3)],
    }
    for name, passes in ways.items():
        artifact = penjing.compile(
            model, (test_x[:1],), target="host", passes=passes, calibration=train_x.split(64)
        )
        found = torch.tensor([int(artifact.run(image)[0].argmax()) for image in test_x.split(1)])
        print(f"{name}: accuracy {float((found == test_y).float().mean()):.4f}")


if __name__ == "__main__":
    main()
