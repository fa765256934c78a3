"""Layers of the networks by class, each repeated so that the borders of the model weigh little."""

from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

Network = tuple[nn.Module, tuple[torch.Tensor, ...]]


class Repeat(nn.Module):
    """A function of one tensor, of the same shape as its result, several times in a row."""

    def __init__(self, times: int, function: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.times, self.function = times, function

    def forward(self, x: torch.Tensor, *more: torch.Tensor) -> torch.Tensor:
        for _ in range(self.times):
            x = self.function(x, *more)
        return x


def _gemm(rows: int, narrow: int, wide: int) -> Network:
    """Products of [rows, narrow] with [narrow, wide] and back, twice."""
    layers = [nn.Linear(narrow, wide), nn.Linear(wide, narrow)]
    layers += [nn.Linear(narrow, wide), nn.Linear(wide, narrow)]
    return nn.Sequential(*layers), (torch.randn(rows, narrow),)


def _pointwise(size: int, narrow: int, wide: int) -> Network:
    layers = [nn.Conv2d(narrow, wide, 1), nn.ReLU(), nn.Conv2d(wide, narrow, 1)]
    return nn.Sequential(*layers, *layers), _image(size, narrow)


def _conv3x3(size: int, channels: int) -> Network:
    layers = [(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()) for _ in range(4)]
    return nn.Sequential(*(layer for pair in layers for layer in pair)), _image(size, channels)


def _depthwise(size: int, channels: int) -> Network:
    layers = [
        (nn.Conv2d(channels, channels, 3, padding=1, groups=channels), nn.ReLU6()) for _ in range(4)
    ]
    return nn.Sequential(*(layer for pair in layers for layer in pair)), _image(size, channels)


def _attention(tokens: int, heads: int, width: int) -> Network:
    mask = torch.zeros(1, 1, 1, tokens)
    mask[..., tokens * 3 // 4 :] = -1e4
    query, key, value = (torch.randn(1, heads, tokens, width) for _ in range(3))

    def attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
        return functional.scaled_dot_product_attention(q, k, v, m)

    return Repeat(4, attend), (query, key, value, mask)


def _norms(tokens: int, width: int) -> Network:
    def block(x: torch.Tensor) -> torch.Tensor:
        return x + functional.gelu(functional.layer_norm(x, (width,)))

    return Repeat(4, block), (torch.randn(1, tokens, width),)


def _softmax(heads: int, tokens: int) -> Network:
    return Repeat(4, lambda x: functional.softmax(x, -1)), (torch.randn(heads, tokens, tokens),)


def _image(size: int, channels: int) -> tuple[torch.Tensor, ...]:
    return (torch.randn(1, channels, size, size),)


# Class and sizes in the name: "conv1x1 14x14 96-576".
LAYERS: dict[str, Callable[[], Network]] = {
    "gemm 128x384x1536": lambda: _gemm(128, 384, 1536),
    "gemm 1x768x3072": lambda: _gemm(1, 768, 3072),
    "conv1x1 56x56 24-144": lambda: _pointwise(56, 24, 144),
    "conv1x1 14x14 96-576": lambda: _pointwise(14, 96, 576),
    "conv1x1 14x14 256-1024": lambda: _pointwise(14, 256, 1024),
    "conv3x3 56x56 64": lambda: _conv3x3(56, 64),
    "conv3x3 14x14 256": lambda: _conv3x3(14, 256),
    "conv3x3 7x7 512": lambda: _conv3x3(7, 512),
    "depthwise 56x56 144": lambda: _depthwise(56, 144),
    "depthwise 14x14 576": lambda: _depthwise(14, 576),
    "depthwise 25x25 64": lambda: _depthwise(25, 64),
    "attention 12x128x32": lambda: _attention(128, 12, 32),
    "attention 12x256x64": lambda: _attention(256, 12, 64),
    "norm gelu 128x384": lambda: _norms(128, 384),
    "norm softmax 12x128": lambda: _softmax(12, 128),
}
