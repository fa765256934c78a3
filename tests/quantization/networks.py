"""Small networks of the kinds that are quantized."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..functions import Function

MOST_STEPS = 3  # a value that is rounded the other way may turn others over, layer by layer
MOVES = {
    "aten.expand",
    "aten.slice.Tensor",
    "aten.reshape",
    "aten.permute",
    "aten.cat",
    "aten.max_pool2d",
    "aten.clamp",
    "aten.pad",
}


def batch_norm(channels: int) -> nn.BatchNorm2d:
    """One whose statistics and weights are not trivial."""
    norm = nn.BatchNorm2d(channels)
    with torch.no_grad():
        for tensor, low, high in (
            (norm.running_mean, -0.5, 0.5),
            (norm.running_var, 0.5, 2.0),
            (norm.weight, 0.5, 1.5),
            (norm.bias, -0.5, 0.5),
        ):
            assert tensor is not None
            tensor.uniform_(low, high)
    return norm


def _convolutions() -> tuple[nn.Module, Tensor]:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1, bias=False),
        batch_norm(8),
        nn.ReLU(),
        nn.Conv2d(8, 12, 3, padding=2, dilation=2, groups=4),
        nn.Hardswish(),
        nn.MaxPool2d(2),
        nn.Conv2d(12, 5, 1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return model, torch.randn(1, 3, 19, 16)


def _depthwise() -> tuple[nn.Module, Tensor]:
    model = nn.Sequential(
        nn.Conv2d(4, 9, 1, bias=False),
        batch_norm(9),
        nn.ReLU6(),
        nn.Conv2d(9, 9, 3, 2, 1, groups=9, bias=False),
        batch_norm(9),
        nn.ReLU6(),
        nn.Conv2d(9, 7, 1),
    )
    return model, torch.randn(2, 4, 9, 11)


def _residual() -> tuple[nn.Module, Tensor]:
    def forward(first: nn.Module, norm: nn.Module, second: nn.Module, x: Tensor) -> Any:
        return functional.relu(x + second(functional.relu(norm(first(x)))))

    parts = nn.Conv2d(6, 10, 3, padding=1), batch_norm(10), nn.Conv2d(10, 6, 3, padding=1)
    return Function(forward, *parts), torch.randn(1, 6, 8, 7)


def _squeeze() -> tuple[nn.Module, Tensor]:
    def forward(layer: nn.Module, down: nn.Module, up: nn.Module, x: Tensor) -> Any:
        y = functional.silu(layer(x))
        gate = torch.sigmoid(up(functional.relu(down(y.mean((2, 3), keepdim=True)))))
        return y * gate

    down = nn.Conv2d(8, 3, 1)
    nn.init.ones_(down.get_parameter("bias"))  # something is left by the ReLU
    return Function(forward, nn.Conv2d(3, 8, 3), down, nn.Conv2d(3, 8, 1)), torch.randn(1, 3, 9, 9)


def _concatenation() -> tuple[nn.Module, Tensor]:
    def forward(left: nn.Module, right: nn.Module, last: nn.Module, x: Tensor) -> Any:
        pooled = functional.avg_pool2d(right(x), 3, 1, 1)
        return last(torch.cat([functional.relu(left(x)), pooled, x], 1)).flatten(1)

    parts = nn.Conv2d(4, 5, 3, padding=1), nn.Conv2d(4, 3, 1), nn.Conv2d(12, 4, 1)
    return Function(forward, *parts), torch.randn(1, 4, 6, 5)


def _rows() -> tuple[nn.Module, Tensor]:
    model = nn.Sequential(
        nn.Conv1d(3, 8, 5, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(72, 10), nn.Softmax(-1)
    )
    return model, torch.randn(2, 3, 21)


def _attention() -> tuple[nn.Module, Tensor]:
    width, heads = 24, 3

    def split(x: Tensor) -> Tensor:
        return x.reshape(1, -1, heads, width // heads).transpose(1, 2)

    def forward(
        norm: nn.Module,
        inward: nn.Module,
        out: nn.Module,
        up: nn.Module,
        down: nn.Module,
        x: Tensor,
    ) -> Any:
        query, key, value = (split(part) for part in inward(norm(x)).chunk(3, -1))
        scores = torch.softmax(query @ key.transpose(-1, -2) * 0.35, -1)
        y = x + out((scores @ value).transpose(1, 2).reshape(1, -1, width))
        return y + down(functional.gelu(up(y)))

    parts = (
        nn.LayerNorm(width),
        nn.Linear(width, 3 * width),
        nn.Linear(width, width),
        nn.Linear(width, 40),
        nn.Linear(40, width),
    )
    return Function(forward, *parts), torch.randn(1, 11, width)


def _fused_attention() -> tuple[nn.Module, Tensor]:
    """Two groups of heads, a mask of each kind."""
    position = torch.randn(4, 9, 9)
    seen = torch.rand(9, 9) > 0.3
    seen[:, 0] = True

    def forward(inward: nn.Module, out: nn.Module, x: Tensor) -> Any:
        query, key, value = inward(x).split([32, 16, 16], -1)
        query = query.reshape(1, 9, 4, 8).transpose(1, 2)
        key, value = (part.reshape(1, 9, 2, 8).transpose(1, 2) for part in (key, value))
        attend = functional.scaled_dot_product_attention
        y = attend(query, key, value, enable_gqa=True, is_causal=True)
        y = attend(y, key, value, position, enable_gqa=True)
        y = attend(y, key, value, seen, enable_gqa=True, scale=1.0)
        return out(y.transpose(1, 2).reshape(1, 9, 32))

    return Function(forward, nn.Linear(12, 64), nn.Linear(32, 5)), torch.randn(1, 9, 12)


def _upsampling() -> tuple[nn.Module, Tensor]:
    model = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ConvTranspose2d(6, 4, 3, 2, 1, output_padding=1, groups=2),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 4, 2, 2, groups=4),
        nn.ConvTranspose2d(4, 5, (2, 3), (1, 3), dilation=(2, 1), bias=False),
        nn.ReLU(),
    )
    return model, torch.randn(1, 3, 5, 4)


def _seeded(make: Callable[[], tuple[nn.Module, Tensor]]) -> Callable[[], tuple[nn.Module, Any]]:
    def network() -> tuple[nn.Module, Tensor]:
        torch.manual_seed(0)
        return make()

    return network


NETWORKS = {
    "attention": _seeded(_attention),
    "concatenation": _seeded(_concatenation),
    "convolutions": _seeded(_convolutions),
    "depthwise": _seeded(_depthwise),
    "fused_attention": _seeded(_fused_attention),
    "residual": _seeded(_residual),
    "rows": _seeded(_rows),
    "squeeze": _seeded(_squeeze),
    "upsampling": _seeded(_upsampling),
}
