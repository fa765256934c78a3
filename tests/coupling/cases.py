"""Small models, each with something that couples dimensions in its own way."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Residual, concatenation, split, depthwise, grouped and a squeeze-and-excitation gate."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.side = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(3, 4, 1)
        self.mix = nn.Conv2d(12, 12, 1)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.grouped = nn.Conv2d(12, 8, 3, padding=1, groups=2)
        self.down, self.up = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.norm, self.head = nn.BatchNorm2d(8), nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Any:
        stem = self.stem(x).relu()
        left, right = self.mix(torch.cat([stem, self.side(x)], 1)).chunk(2, 1)
        y = self.grouped(torch.cat([self.depthwise(left), right.relu()], 1))
        gate = self.up(self.down(y.mean((2, 3), keepdim=True)).relu()).sigmoid()
        return self.head(self.norm(y * gate + stem).relu().mean((2, 3)))


class Heads(nn.Module):
    """Attention with view(..., heads, size), and key and value heads shared by queries."""

    def __init__(self, heads: int = 4, shared: int = 4, mask: Tensor | None = None) -> None:
        super().__init__()
        self.heads, self.shared, self.mask = heads, shared, mask
        self.query, self.out = nn.Linear(16, heads * 6), nn.Linear(heads * 6, 16)
        self.key, self.value = nn.Linear(16, shared * 6), nn.Linear(16, shared * 6)

    def forward(self, x: Tensor) -> Any:
        q = self.query(x).view(*x.shape[:2], self.heads, 6).transpose(1, 2)
        k = self.key(x).view(*x.shape[:2], self.shared, 6).transpose(1, 2)
        v = self.value(x).view(*x.shape[:2], self.shared, 6).transpose(1, 2)
        k, v = (y.repeat_interleave(self.heads // self.shared, 1) for y in (k, v))
        scores = q @ k.transpose(-1, -2) / 6**0.5
        if self.mask is not None:
            scores = scores + self.mask
        return self.out((scores.softmax(-1) @ v).transpose(1, 2).flatten(2))


class GroupedQueries(nn.Module):
    """The operator's own grouped queries."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.out = nn.Linear(16, 24), nn.Linear(24, 16)
        self.key, self.value = nn.Linear(16, 8), nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Any:
        q, k, v = (
            layer(x).unflatten(-1, (-1, 4)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        y = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
        return self.out(y.transpose(1, 2).flatten(2))


class Packed(nn.Module):
    """Queries, keys and values of one layer, reshaped to (3, heads, size)."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(16, 48), nn.Linear(16, 16)

    def forward(self, x: Tensor) -> Any:
        q, k, v = self.qkv(x).reshape(*x.shape[:2], 3, 4, 4).permute(2, 0, 3, 1, 4).unbind(0)
        y = F.scaled_dot_product_attention(q, k, v)
        return self.out(y.transpose(1, 2).reshape(x.shape))


class Multihead(nn.Module):
    """PyTorch's own layer, as cross attention."""

    def __init__(self) -> None:
        super().__init__()
        self.source = nn.Linear(16, 10)
        self.attention = nn.MultiheadAttention(16, 4, kdim=10, vdim=10, batch_first=True)
        self.out = nn.Linear(16, 3)

    def forward(self, x: Tensor, memory: Tensor) -> Any:
        memory = self.source(memory).relu()
        return self.out(self.attention(x, memory, memory, need_weights=False)[0])


class Rotary(nn.Module):
    """Rotary position embeddings on neighboring pairs."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key = nn.Linear(16, 16), nn.Linear(16, 16)
        self.value, self.out = nn.Linear(16, 16), nn.Linear(16, 16)
        angle = torch.arange(7)[:, None] * torch.tensor([1.0, 0.1])
        self.cos, self.sin = angle.cos(), angle.sin()

    def forward(self, x: Tensor) -> Any:
        q, k, v = (
            layer(x).unflatten(-1, (4, 4)).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        y = F.scaled_dot_product_attention(self.rotate(q), self.rotate(k), v)
        return self.out(y.transpose(1, 2).flatten(2))

    def rotate(self, x: Tensor) -> Any:
        (even, odd), cos, sin = (x[..., ::2], x[..., 1::2]), self.cos, self.sin
        pairs = (even * cos - odd * sin, even * sin + odd * cos)
        return torch.stack(pairs, -1).flatten(-2)


class NormByHand(nn.Module):
    """A layer norm written as mean and standard deviation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 10), nn.Linear(10, 3)
        self.scale = nn.Parameter(torch.rand(10) + 0.5)

    def forward(self, x: Tensor) -> Any:
        y = self.first(x)
        centered = y - y.mean(-1, keepdim=True)
        deviation = (centered * centered).mean(-1, keepdim=True).sqrt()
        return self.last(centered / (deviation + 1e-5) * self.scale)


class Temporal(nn.Module):
    """Convolutions over time by way of a fourth dimension."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(4, 8, (1, 3)), nn.Conv1d(8, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 2, (1, 1))

    def forward(self, x: Tensor) -> Any:
        y = self.first(x.unsqueeze(2)).relu().squeeze(2)
        return self.last((self.second(y).relu() + y).unsqueeze(2)).squeeze(2)


class Detector(nn.Module):
    """A stage of YOLO: chunk, bottleneck, concatenation; and a head reshaped to its anchors."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.inner = nn.Conv2d(3, 8, 3), nn.Conv2d(4, 4, 3, padding=1)
        self.join, self.wide = nn.Conv2d(12, 6, 1), nn.Conv2d(6, 6, 3, 2)
        self.near, self.far = nn.Conv2d(6, 14, 1), nn.Conv2d(6, 14, 1)

    def forward(self, x: Tensor) -> Any:
        parts = list(F.silu(self.first(x)).chunk(2, 1))
        parts.append(parts[-1] + F.silu(self.inner(parts[-1])))
        near = F.silu(self.join(torch.cat(parts, 1)))
        maps = self.near(near), self.far(F.silu(self.wide(near)))
        boxes = [y.view(1, 2, 7, -1).permute(0, 1, 3, 2).reshape(1, -1, 7) for y in maps]
        return torch.cat(boxes, 1).sigmoid()


class Recurrences(nn.Module):
    """Layers of recurrence, of which nothing but the result is seen."""

    def __init__(self, kind: type[nn.LSTM | nn.GRU | nn.RNN], bidirectional: bool) -> None:
        super().__init__()
        self.first = nn.Linear(5, 6)
        self.layer = kind(6, 8, 2, batch_first=True, bidirectional=bidirectional)
        self.last = nn.Linear(16 if bidirectional else 8, 3)

    def forward(self, x: Tensor) -> Any:
        return self.last(self.layer(self.first(x))[0])


class Tied(nn.Module):
    """An embedding that is also the last layer, and a layer that is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.layer = nn.Embedding(11, 8), nn.Linear(8, 8)

    def forward(self, ids: Tensor) -> Any:
        y = self.embed(ids)
        return F.linear(self.layer(self.layer(y).tanh()) + y, self.embed.weight)


class Through(nn.Module):
    """Some function between two layers of the same kind."""

    def __init__(
        self, first: nn.Module, function: Callable[[Tensor], Tensor], last: nn.Module
    ) -> None:
        super().__init__()
        self.first, self.function, self.last = first, function, last

    def forward(self, x: Tensor) -> Any:
        return self.last(self.function(self.first(x)))


class AddedToInput(nn.Module):
    """What a layer gives is added to an input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(6, 6), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Any:
        return self.last(self.first(x).relu() + x)
