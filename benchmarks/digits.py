"""Two small networks for scikit-learn's digits to compress: a residual and a depthwise one.

Run as a module, it trains both with three seeds and prints their accuracies.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from .networks import InvertedResidual, Residual, conv
from .table import markdown

EPOCHS = 40
FINE_TUNING_EPOCHS = 40
PEAK = 3e-3  # largest learning rate, of the fine-tuning too
TEMPERATURE = 4.0  # of what a teacher says
BATCH = 64
SEEDS = (0, 1, 2)
KEPT = (0.25, 0.1)  # of the multiply-adds, by those who prune
GRADIENT_IMAGES = 256  # that they look at


@dataclass(frozen=True)
class Digits:
    """Images [N,1,8,8] in 0..1 and labels [N]: three parts with equal shares of every digit."""

    train: tuple[Tensor, Tensor]  # 60 %
    validation: tuple[Tensor, Tensor]  # 20 %
    test: tuple[Tensor, Tensor]  # 20 %


def load(seed: int) -> Digits:
    """The 1797 digits, split at random."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    digits = load_digits()
    x_nchw = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16
    labels = torch.tensor(digits.target)
    order = torch.arange(len(labels)).numpy()
    kinds = digits.target
    rest, test = train_test_split(order, test_size=0.2, stratify=kinds, random_state=seed)
    train, validation = train_test_split(
        rest, test_size=0.25, stratify=kinds[rest], random_state=seed
    )
    train_part, validation_part, test_part = (
        (x_nchw[chosen], labels[chosen]) for chosen in (train, validation, test)
    )
    return Digits(train_part, validation_part, test_part)


def residual_network() -> nn.Module:
    """Three residual blocks of 3x3 convolutions: 1.86 M multiply-adds, 85 k parameters."""
    return nn.Sequential(
        conv(1, 24, 3, activation=nn.ReLU()),
        _block(24, 24, 1),
        _block(24, 48, 2),
        _block(48, 48, 1),
        *_head(48),
    )


def depthwise_network() -> nn.Module:
    """Inverted residuals as in MobileNetV2."""
    return nn.Sequential(
        conv(1, 24, 3),
        InvertedResidual(24, 24, 4, 1),
        InvertedResidual(24, 40, 4, 2),
        InvertedResidual(40, 40, 4, 1),
        conv(40, 96, 1),
        *_head(96),
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "residual": residual_network,
    "depthwise": depthwise_network,
}


def trained(name: str, seed: int, epochs: int = EPOCHS) -> tuple[nn.Module, Digits]:
    """A network after its training, in evaluation mode, and the split it was trained on."""
    torch.manual_seed(seed)
    digits = load(seed)
    model = NETWORKS[name]()
    fit(model, digits, epochs)
    return model, digits


def fine_tune(model: nn.Module, digits: Digits, teacher: nn.Module | None = None) -> None:
    """What every compressed network gets, whoever compressed it: the same training once more."""
    fit(model, digits, FINE_TUNING_EPOCHS, teacher)


def fit(model: nn.Module, digits: Digits, epochs: int, teacher: nn.Module | None = None) -> None:
    """Train with AdamW and one cycle of the learning rate, images moved by a pixel.

    With a teacher in evaluation mode, half of the loss is the divergence from what it says at a
    temperature (Hinton et al. 2015), the other half that of the labels.
    """
    batches = epochs * (len(digits.train[0]) // BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=PEAK, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PEAK, total_steps=batches)
    model.train()
    for _ in range(epochs):
        for images, labels in shuffled(digits):
            optimizer.zero_grad()
            logits = model(images)
            loss = nn.functional.cross_entropy(logits, labels)
            if teacher is not None:
                loss = (loss + _divergence(logits, teacher, images)) / 2
            loss.backward()
            optimizer.step()
            schedule.step()
    model.eval()


def _divergence(logits: Tensor, teacher: nn.Module, images: Tensor) -> Tensor:
    with torch.no_grad():
        expected = teacher(images)
    ours, theirs = ((each / TEMPERATURE).log_softmax(1) for each in (logits, expected))
    divergence = nn.functional.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    return TEMPERATURE**2 * divergence


def healed(make: Callable[[], nn.Module], original: nn.Module, digits: Digits) -> dict[str, float]:
    """Accuracies of a pruned network as it is, after fine-tuning and after distillation.

    Args:
        make: Gives the pruned network; its result is trained.
        original: What it was before.
        digits: What that was trained on.
    """
    row = {"untrained %": accuracy(make().eval(), digits.test)}
    for name, teacher in (("fine-tuned %", None), ("distilled %", original)):
        torch.manual_seed(0)
        smaller = make()
        fine_tune(smaller, digits, teacher)
        row[name] = accuracy(smaller, digits.test)
    return row


def shuffled(digits: Digits) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of training batches in random order, each image moved by up to a pixel."""
    images, labels = digits.train
    order = torch.randperm(len(images))[: len(images) // BATCH * BATCH]
    for chosen in order.split(BATCH):
        yield moved(images[chosen]), labels[chosen]


def moved(x_nchw: Tensor) -> Tensor:
    """Every image shifted by -1, 0 or 1 pixel in both directions, zeros outside."""
    count, _, height, width = x_nchw.shape
    padded = nn.functional.pad(x_nchw, (1, 1, 1, 1))
    rows = torch.randint(3, (count, 1, 1)) + torch.arange(height)[:, None]
    columns = torch.randint(3, (count, 1, 1)) + torch.arange(width)
    return padded[torch.arange(count)[:, None, None], 0, rows, columns][:, None]


def accuracy(model: Callable[[Tensor], Tensor], part: tuple[Tensor, Tensor]) -> float:
    """The share of digits that are recognized, in percent."""
    with torch.no_grad():
        right = model(part[0]).argmax(1) == part[1]
    return 100 * float(right.float().mean())


def network_macs(model: nn.Module) -> int:
    """Multiply-adds of one image in convolutions and linear layers."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 1, 8, 8))
    return int(counter.get_total_flops()) // 2


def _block(channels: int, out: int, stride: int) -> nn.Module:
    layers = nn.Sequential(
        conv(channels, out, 3, stride=stride, activation=nn.ReLU()),
        conv(out, out, 3, activation=nn.Identity()),
    )
    if stride == 1 and channels == out:
        return Residual(layers, nn.Identity())
    return Residual(layers, conv(channels, out, 1, stride=stride, activation=nn.Identity()))


def _head(channels: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10)]


def main() -> None:
    """Train both networks and print how good they are."""
    rows = []
    for name in NETWORKS:
        for seed in SEEDS:
            start = time.process_time()
            model, digits = trained(name, seed)
            row = {"network": name, "seed": seed, "accuracy %": accuracy(model, digits.test)}
            row["multiply-adds"] = network_macs(model)
            parameters = sum(each.numel() for each in model.parameters())
            seconds = time.process_time() - start
            rows.append({**row, "parameters": parameters, "CPU s": seconds})
    print(markdown(rows))


if __name__ == "__main__":
    main()
