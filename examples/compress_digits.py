"""Train a CNN on handwritten digits, keep a fifth of its multiply-adds, heal it, compile it."""

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

import penjing
from penjing.compiler.ir.program import Program
from penjing.passes import Distill, PruneChannels


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

    head = (nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32 * 4 * 4, 10))
    model = nn.Sequential(layer(1, 32), layer(32, 32), layer(32, 32), *head)
    train(model, train_x, train_y)

    def accuracy(program: Program) -> float:
        found = torch.cat([program.run(image) for image in test_x.split(1)]).argmax(1)
        return float((found == test_y).float().mean())

    image = (test_x[:1],)
    smaller = penjing.optimize(
        penjing.trace(model, image),
        [
            PruneChannels(macs=0.2, criterion="taylor"),
            Distill(epochs=8, batch_size=64, lr=2e-3, output="kl", label_weight=1.0),
        ],
        calibration=list(zip(train_x.split(64), train_y.split(64), strict=True)),
        evaluate=accuracy,
    )
    for program in (penjing.trace(model, image), smaller):
        print(penjing.compile(program, target="host", name="digits").report.summary())
        print(f"  accuracy {accuracy(program):.4f} on {len(test_y)} images")


if __name__ == "__main__":
    main()
