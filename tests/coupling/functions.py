"""What can stand between two layers, and what of them can then be pruned."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.coupling.cases import Through

WIDTH = 12
_GENERATOR = torch.Generator().manual_seed(0)
_VECTOR = torch.rand(WIDTH, generator=_GENERATOR) + 0.5
_MAP = _VECTOR.view(WIDTH, 1, 1)


@dataclass(frozen=True)
class Between:
    """A function between two linear layers or convolutions.

    Args:
        function: From [2, 5, 12], or for convolutions from [2, 12, 6, 6].
        units: How many can be dropped; 0 where the first layer is locked.
        reason: Why it is locked.
        width: Features or channels of the result.
        space: Whether the layers are convolutions.
    """

    function: Callable[[Tensor], Tensor]
    units: int = WIDTH
    reason: str = ""
    width: int = WIDTH
    space: bool = False

    def model(self) -> tuple[nn.Module, tuple[Tensor]]:
        """The function between two layers, and an input."""
        if self.space:
            layers: tuple[nn.Module, nn.Module] = (
                nn.Conv2d(3, WIDTH, 1),
                nn.Conv2d(self.width, 4, 1),
            )
            return Through(layers[0], self.function, layers[1]), (torch.randn(2, 3, 6, 6),)
        layers = nn.Linear(7, WIDTH), nn.Linear(self.width, 4)
        return Through(layers[0], self.function, layers[1]), (torch.randn(2, 5, 7),)


class Scaled(nn.Module):
    """A weight and an input combined in some way."""

    def __init__(
        self, function: Callable[[Tensor, Tensor], Tensor], shape: int | tuple[int, ...] = WIDTH
    ) -> None:
        super().__init__()
        self.function = function
        self.weight = nn.Parameter(torch.rand(shape) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, self.weight)


def _residual_pad(x: Tensor) -> Tensor:
    """Channels padded with zeros, as in the residual networks of He et al. without projections."""
    return F.pad(x, (0, 0, 0, 0, 2, 4))


def _assigned(x: Tensor) -> Tensor:
    """Written into a part of something larger."""
    into = torch.full((2, 5, WIDTH + 2), 0.5)
    into[..., 1:-1] = x
    return into


def _shuffle(x: Tensor) -> Tensor:
    parts = x.reshape(2, 3, 4, *x.shape[2:])
    return parts.transpose(1, 2).flatten(1, 2)


def _linear_attention(x: Tensor) -> Tensor:
    positive = F.elu(x) + 1
    return positive @ (positive.transpose(1, 2) @ x)


def _attention(x: Tensor) -> Tensor:
    return (x @ x.transpose(1, 2) / 3.0).softmax(-1) @ x


SUMMED = "it is summed over, and dropped units would not be 0"

BETWEEN: dict[str, Between] = {
    "relu": Between(lambda x: x.relu()),
    "sigmoid": Between(lambda x: x.sigmoid()),
    "gated": Between(lambda x: x * x.sigmoid()),
    "square by two edges": Between(lambda x: x * x),
    "layer scale": Between(Scaled(lambda x, w: x * w)),
    "learned divisor": Between(Scaled(lambda x, w: x / w)),
    "learned logarithm": Between(Scaled(lambda x, w: x + w.log())),
    "constant vector": Between(lambda x: x + _VECTOR),
    "constant mask": Between(lambda x: torch.where(_VECTOR > 1, x, 0.5)),
    "constant for each position": Between(Scaled(lambda x, w: x + w, (5, WIDTH))),
    "softmax over it": Between(lambda x: x.softmax(-1), 0, "a softmax over it"),
    "softmax over others": Between(lambda x: x.softmax(1)),
    "cumulative sum along it": Between(lambda x: x.cumsum(-1), 0, "a cumulative sum along it"),
    "cumulative sum along others": Between(lambda x: x.cumsum(1)),
    "mean gate": Between(lambda x: x * x.mean(-1, keepdim=True), 0, "a mean over it"),
    "sum gate": Between(lambda x: x * x.sum(-1, keepdim=True)),
    "sum gate of sigmoid": Between(
        lambda x: x * x.sigmoid().sum(-1, keepdim=True),
        0,
        "a sum over it, and dropped units would not be 0",
    ),
    "largest gate": Between(lambda x: x - x.amax(-1, keepdim=True), 0, "a reduction over it"),
    "norm gate": Between(lambda x: x / x.norm(dim=-1, keepdim=True)),
    "variance": Between(lambda x: x / x.var(-1, keepdim=True), 0, "a mean over it"),
    "layer norm": Between(nn.LayerNorm(WIDTH), 0, "a norm over it"),
    "rms norm": Between(nn.RMSNorm(WIDTH), 0, "a norm over it"),
    "layer norm of others": Between(lambda x: F.layer_norm(x.mT, (5,)).mT),
    "linear attention": Between(_linear_attention, 0, SUMMED),
    "attention of one head": Between(_attention),
    "chunks that gate": Between(lambda x: x.chunk(2, -1)[0] * x.chunk(2, -1)[1], 6, width=6),
    "gated linear unit": Between(lambda x: F.glu(x), 6, width=6),
    "chunks exchanged": Between(lambda x: torch.cat(x.chunk(2, -1)[::-1], -1)),
    "halves to different places": Between(lambda x: torch.cat([x[..., :6].relu(), x[..., 6:]], -1)),
    "uneven split": Between(lambda x: torch.cat([x.split([5, 7], -1)[1], x[..., :5]], -1)),
    "repeated": Between(lambda x: torch.cat([x, x.relu()], -1), width=24),
    "repeat": Between(lambda x: x.repeat(1, 1, 2), width=24),
    "repeat interleaved": Between(lambda x: x.repeat_interleave(2, -1), width=24),
    "every other": Between(lambda x: x[..., ::2] + x[..., 1::2], 6, width=6),
    "every third apart": Between(lambda x: torch.cat([x[..., i::3] for i in range(3)], -1)),
    "roll": Between(lambda x: x.roll(5, -1)),
    "roll of others": Between(lambda x: x.roll((1, 3), (1, -1))),
    "flip": Between(lambda x: x.flip(-1)),
    "constant order": Between(lambda x: x[..., torch.tensor([3, 1, 2, 0, 7, 6, 5, 4])], width=8),
    "constant order by index_select": Between(
        lambda x: x.index_select(-1, torch.tensor([5, 4, 3, 9, 1, 1])), 11, width=6
    ),
    "one selected": Between(lambda x: x * x[..., 3:4], 11),
    "one of them": Between(lambda x: x * x.select(-1, 3)[..., None], 11),
    "unbind and stack": Between(
        lambda x: torch.stack(x.unbind(-1)[::-1], -1),
        0,
        "something holds nothing else, and would be empty",
    ),
    "unbind rows": Between(lambda x: torch.stack(x.unbind(1)[::-1], 1)),
    "largest ones": Between(
        lambda x: x.topk(3)[0],
        0,
        "aten.topk.default reads it, for which there is no coupling rule",
        3,
    ),
    "turned": Between(lambda x: x.mT.contiguous().mT),
    "reshape and back": Between(lambda x: x.view(2, 5, 3, 4).relu().view(2, 5, 12), 4),
    "reshape and turn": Between(lambda x: x.view(2, 5, 3, 4).mT.reshape(2, 5, 12), 4),
    "gathered rows": Between(
        lambda x: x.gather(1, torch.tensor([3, 1, 4, 1, 0])[None, :, None].expand(2, 5, WIDTH))
    ),
    "gathered positions": Between(
        lambda x: x.gather(-1, torch.arange(WIDTH).flip(0).expand(2, 5, WIDTH)),
        0,
        "its positions are looked up by number",
    ),
    "assigned to a part": Between(_assigned, width=14),
    "einsum": Between(lambda x: torch.einsum("bsc,btc->bst", x, x)[..., :1] * x),
    "matrix of weights": Between(Scaled(lambda x, w: x @ w, (WIDTH, 8)), width=8),
    "weights on the left": Between(Scaled(lambda x, w: w @ x, (5, 5))),
    "prelu of channels": Between(nn.PReLU(WIDTH), space=True),
    "prelu": Between(nn.PReLU(), space=True),
    "pool": Between(lambda x: F.max_pool2d(x, 3, 2, 1) + F.avg_pool2d(x, 3, 2, 1), space=True),
    "adaptive pool": Between(lambda x: F.adaptive_avg_pool2d(x, 4), space=True),
    "interpolate": Between(lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"), space=True),
    "reflecting pad": Between(lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"), space=True),
    "padded channels": Between(_residual_pad, width=18, space=True),
    "padded and added": Between(
        lambda x: _residual_pad(x) + _residual_pad(x).roll(1, 1), 0, "it is padded", 18, space=True
    ),
    "pixel shuffle": Between(lambda x: F.pixel_shuffle(x, 2), 3, width=3, space=True),
    "pixel unshuffle": Between(lambda x: F.pixel_unshuffle(x, 2), width=48, space=True),
    "channel shuffle": Between(nn.ChannelShuffle(3), 4, space=True),
    "channel shuffle by hand": Between(_shuffle, 4, space=True),
    "channel attention": Between(
        lambda x: x * x.mean(1, keepdim=True).sigmoid(), 0, "a mean over it", space=True
    ),
    "batch norm": Between(nn.BatchNorm2d(WIDTH), space=True),
    "batch norm without weights": Between(nn.BatchNorm2d(WIDTH, affine=False), space=True),
    "instance norm": Between(nn.InstanceNorm2d(WIDTH, affine=True), space=True),
    "group norm": Between(nn.GroupNorm(4, WIDTH), 4, space=True),
    "group norm of all": Between(nn.GroupNorm(1, WIDTH), 0, "a norm over it", space=True),
    "group norm of each": Between(nn.GroupNorm(WIDTH, WIDTH), space=True),
    "depthwise": Between(nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH), space=True),
    "depthwise that widens": Between(nn.Conv2d(WIDTH, 24, 3, groups=WIDTH), width=24, space=True),
    "grouped, many groups": Between(nn.Conv2d(WIDTH, 8, 3, groups=4), 4, width=8, space=True),
    "grouped, wide groups": Between(nn.Conv2d(WIDTH, 8, 3, groups=2), 6, width=8, space=True),
    "transposed": Between(nn.ConvTranspose2d(WIDTH, 8, 2, 2), width=8, space=True),
    "transposed depthwise": Between(
        nn.ConvTranspose2d(WIDTH, WIDTH, 2, 2, groups=WIDTH), space=True
    ),
    "transposed, wide groups": Between(
        nn.ConvTranspose2d(WIDTH, 10, 2, 2, groups=2), 6, width=10, space=True
    ),
    "transposed, many groups": Between(
        nn.ConvTranspose2d(WIDTH, 8, 2, 2, groups=4), 4, width=8, space=True
    ),
}
