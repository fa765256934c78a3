"""The four networks of MLPerf Tiny, at their full sizes, with fixed random weights.

Banbury et al., "MLPerf Tiny Benchmark", 2021, and the reference models of mlcommons/tiny: image
classification (`ic`), visual wake words (`vww`), keyword spotting (`kws`) and anomaly detection
(`ad`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn

from .networks import Network, conv, ds_cnn, resnet8


@dataclass(frozen=True)
class Tiny:
    """One network of the suite.

    Attributes:
        task: Its short name in the suite.
        macs: Multiply-adds of one inference.
        make: Gives the model and its inputs.
    """

    task: str
    macs: int
    make: Callable[[], Network]


def mobilenet_v1() -> Network:
    """MobileNetV1 0.25, 96x96 (Howard et al. 2017, table 1), with two classes."""
    blocks: list[nn.Module] = [conv(3, 8, 3, stride=2, activation=nn.ReLU())]
    channels = 8
    for out, stride in (
        *((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)),
        *[(128, 1)] * 5,
        *((256, 2), (256, 1)),
    ):
        blocks.append(
            conv(channels, channels, 3, stride=stride, groups=channels, activation=nn.ReLU())
        )
        blocks.append(conv(channels, out, 1, activation=nn.ReLU()))
        channels = out
    head = [nn.AvgPool2d(3), nn.Flatten(), nn.Linear(256, 2), nn.Softmax(dim=1)]
    return nn.Sequential(*blocks, *head), (torch.randn(1, 3, 96, 96),)


def autoencoder() -> Network:
    """The fully connected autoencoder of DCASE 2020 task 2: 640 features of five frames."""
    layers: list[nn.Module] = []
    widths = (640, 128, 128, 128, 128, 8, 128, 128, 128, 128)
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(128, 640)), (torch.randn(1, 640),)


TINY = {
    "resnet8": Tiny("ic", 12_501_632, resnet8),
    "mobilenet_v1": Tiny("vww", 7_489_664, mobilenet_v1),
    "ds_cnn": Tiny("kws", 2_656_768, ds_cnn),
    "autoencoder": Tiny("ad", 264_192, autoencoder),
}


def build(name: str) -> Network:
    """A network by its name in evaluation mode, and its inputs: always the same."""
    torch.manual_seed(0)
    model, inputs = TINY[name].make()
    _normalize(model, inputs)
    return model.eval(), inputs


def _normalize(model: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
    """Let the batch norms learn from random inputs, so that signals neither grow nor vanish."""
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = None  # the average of all batches
    with torch.no_grad():
        model.train()(*(torch.randn(16, *tensor.shape[1:]) for tensor in inputs))
