"""Functions of PyTorch in many spellings, grouped by what they have in common.

Each entry is a function of modules and inputs, its inputs, and its modules.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

Sample = tuple[Callable[..., Any], tuple[torch.Tensor, ...], tuple[nn.Module, ...]]

_GENERATOR = torch.Generator().manual_seed(0)


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=_GENERATOR)


def _ints(limit: int, *shape: int) -> torch.Tensor:
    return torch.randint(0, limit, shape, generator=_GENERATOR)


def _write(target: torch.Tensor, where: Any, value: Any) -> torch.Tensor:
    target[where] = value
    return target


def _views_written(x: torch.Tensor) -> torch.Tensor:
    x[0].mul_(2)
    x.transpose(0, 1).add_(1)
    x.view(-1)[::2].zero_()
    return x


_ALL = slice(None)

WRITES: dict[str, Sample] = {
    "through_views": (_views_written, (_random(3, 4),), ()),
    "to_slice": (lambda x: _write(x, (_ALL, slice(1, 3)), 0.0), (_random(3, 4),), ()),
    "to_mask": (lambda x: _write(x, x > 0, 0.0), (_random(3, 4),), ()),
    "to_places": (
        lambda x: _write(x, (_ALL, torch.tensor([0, 2])), x[:, 1:3] * 2),
        (_random(3, 4),),
        (),
    ),
    "scatter": (
        lambda x, i: (
            x.scatter(1, i, 1.0),
            x.scatter_add(1, i, x),
            x.index_add(0, i[:, 0], x[:3]),
            x.index_fill(0, i[:, 0], 2.0),
            x.masked_fill(x > 0, -1),
            x.scatter_reduce(1, i, x, "amax"),
            x.masked_scatter(x > 0, x * 2),
        ),
        (_random(4, 4), torch.tensor([[0, 3], [1, 2], [0, 0]])),
        (),
    ),
}

MOVES: dict[str, Sample] = {
    "overlapping": (
        lambda x: (x.unfold(1, 3, 2), torch.as_strided(x, (2, 3), (1, 2), 1)),
        (_random(2, 9, 4),),
        (),
    ),
    "diagonals": (
        lambda x: (x.diagonal(1, 1, 2), x.diagonal(-1, 0, 2), x[0].diag(), x.diagonal(9, 0, 1)),
        (_random(3, 4, 5),),
        (),
    ),
    "patches": (
        lambda x: F.fold(F.unfold(x, (2, 2), stride=2), (6, 6), (2, 2), stride=2),
        (_random(1, 3, 6, 6),),
        (),
    ),
    "orders": (
        lambda x: (
            x.roll(1),
            x.roll((1, -1), (0, 2)),
            x.flip(0),
            x.rot90(),
            x.movedim(0, -1),
            x.mT,
            x.swapaxes(0, 1).view(-1) if x.is_contiguous() and x.dim() == 1 else x.swapaxes(0, 1),
        ),
        (_random(3, 3, 4),),
        (),
    ),
    "repeats": (
        lambda x: (
            x.repeat(2, 1, 1),
            x.repeat(1, 2, 3),
            x.repeat_interleave(2, 1),
            x.tile(2),
            x.expand(2, *x.shape),
            torch.broadcast_to(x[:1], x.shape),
        ),
        (_random(3, 3, 4),),
        (),
    ),
    "parts": (
        lambda x: (
            x.chunk(3, 0),
            x.split([1, 2], 1),
            x.split(2, -1),
            x.tensor_split(2, -1),
            x.unbind(1),
            x.narrow(1, -2, 1),
            x[..., None, ::2],
            x[-1, 1:-1],
            x[:, -100:100],
        ),
        (_random(3, 3, 4),),
        (),
    ),
    "joins": (
        lambda x: (
            torch.stack([x, x], -1),
            torch.hstack([x, x]),
            torch.cat([x, x[:0], torch.empty(0)], 0),
            torch.block_diag(x[0], x[1]),
            torch.meshgrid(x[0, 0], x[0, 1], indexing="ij"),
            torch.kron(x[0], x[1]),
        ),
        (_random(3, 3, 4),),
        (),
    ),
    "shapes": (
        lambda x: (
            x.unflatten(-1, (2, 2)),
            x.view_as(x),
            x.reshape(-1, 2),
            x.flatten(1),
            x[:1].squeeze(),
            x.unsqueeze(-2),
            x.permute(2, 0, 1).contiguous().view(-1),
        ),
        (_random(3, 3, 4),),
        (),
    ),
    "gathers": (
        lambda x, i: (
            x[i],
            x[:, i],
            x[i, i],
            x.index_select(1, i),
            x.gather(0, i[None]),
            x.take_along_dim(i[:, None], 0),
            torch.take(x, i),
        ),
        (_random(4, 4), torch.tensor([0, 3, 1])),
        (),
    ),
    "scalars": (
        lambda x: (x + 1, x.reshape(1).softmax(0), x.sum(), x.softmax(-1), x.unsqueeze(0)),
        (torch.tensor(2.0),),
        (),
    ),
    "nothing": (lambda x: (x, torch.cat([x, x[:0]]), x[:0].sum()), (_random(2, 3),), ()),
}

ARITHMETIC: dict[str, Sample] = {
    "activations": (
        lambda x: (
            F.relu6(x),
            F.elu(x),
            F.selu(x),
            F.celu(x, 0.5),
            F.gelu(x, approximate="tanh"),
            F.softplus(x),
            F.softsign(x),
            F.tanhshrink(x),
            F.hardshrink(x),
            F.logsigmoid(x),
            F.threshold(x, 0.1, 20),
            F.rrelu(x),
            F.softmin(x, -1),
            F.normalize(x),
            F.glu(x),
        ),
        (_random(3, 8),),
        (),
    ),
    "reductions": (
        lambda x: (
            x.std(),
            x.var(0, unbiased=False),
            x.amax((0, -1)),
            x.min(1),
            x.prod(1),
            x.norm(dim=1),
            x.norm(p=1, dim=0),
            x.logsumexp(-1),
            x.argmax(),
            x.any(),
            x.median(-1).values,
            x.cumsum(-1),
            x.quantile(0.3, dim=-1),
            torch.count_nonzero(x, 1),
        ),
        (_random(3, 4),),
        (),
    ),
    "orderings": (
        lambda x: (x.sort(-1), x.topk(2, 0), x.argsort(1, descending=True)),
        (_random(3, 4),),
        (),
    ),
    "integers": (
        lambda i: (
            i * 2.5,
            i / 2,
            i // 2,
            i % 3,
            i << 1,
            (i > 1) & (i < 3),
            ~i,
            i.to(torch.int32),
            F.one_hot(i, 5),
            i.cumsum(0),
            torch.bucketize(i, torch.tensor([1, 3])),
        ),
        (torch.tensor([0, 3, 1, 4]),),
        (),
    ),
    "products": (
        lambda x, y: (
            y.t() @ x.t(),
            x.mv(y[:, 0]),
            torch.dot(x[0], y[:, 0]),
            torch.bmm(x[None], y[None]),
            torch.addmm(x[:, :1], x, y, beta=0.5, alpha=2),
            torch.baddbmm(x[None, :, :1], x[None], y[None]),
            torch.outer(x[0], y[0]),
            torch.tensordot(x, y, 1),
            torch.einsum("ij,kj->ik", x, x),
            torch.cdist(x, x + 1),
            F.bilinear(x, x, torch.ones(2, 4, 4)),
        ),
        (_random(3, 4), _random(4, 5)),
        (),
    ),
    "losses": (
        lambda x, t: (
            F.cross_entropy(x, t),
            F.smooth_l1_loss(x, x * 2),
            F.cosine_similarity(x, x + 1),
            F.binary_cross_entropy_with_logits(x, x.sigmoid()),
        ),
        (_random(3, 5), torch.tensor([0, 1, 4])),
        (),
    ),
    "histogram": (lambda x: torch.histc(x, 5, -1, 1), (_random(20),), ()),
    "half": (lambda m, x: m(x), (_random(2, 4).half(),), (nn.Linear(4, 3).half(),)),
    "double": (lambda m, x: m(x), (_random(2, 4).double(),), (nn.Linear(4, 3).double(),)),
    "mapped": (lambda x: torch.vmap(lambda row: row * row.sum())(x), (_random(3, 4),), ()),
}

LAYERS: dict[str, Sample] = {
    "attention": (
        lambda m, x, y: m(x, y, y, average_attn_weights=False),
        (_random(5, 2, 8), _random(7, 2, 6)),
        (nn.MultiheadAttention(8, 2, kdim=6, vdim=6, add_bias_kv=True, add_zero_attn=True),),
    ),
    "grouped_queries": (
        lambda q: F.scaled_dot_product_attention(q, q[:, :2], q[:, :2], enable_gqa=True),
        (_random(1, 4, 6, 8),),
        (),
    ),
    "encoder_and_decoder": (
        lambda m, x, y: m(x, y),
        (_random(2, 5, 8), _random(2, 4, 8)),
        (nn.Transformer(8, 2, 1, 1, 16, batch_first=True),),
    ),
    "cells": (
        lambda a, b, c, x: (a(x), b(x), c(x)),
        (_random(2, 5),),
        (nn.LSTMCell(5, 4), nn.GRUCell(5, 4), nn.RNNCell(5, 4, nonlinearity="relu")),
    ),
    "lstm_with_state": (
        lambda m, x, h, c: m(x, (h, c)),
        (_random(7, 2, 5), _random(4, 2, 4), _random(4, 2, 4)),
        (nn.LSTM(5, 4, 2, bidirectional=True),),
    ),
    "gru_without_bias": (
        lambda m, x: m(x),
        (_random(2, 7, 5),),
        (nn.GRU(5, 4, batch_first=True, bidirectional=True, bias=False),),
    ),
    "lstm_unbatched": (lambda m, x: m(x), (_random(7, 5),), (nn.LSTM(5, 4),)),
    "embedding_bag": (lambda m, x: m(x), (_ints(10, 3, 4),), (nn.EmbeddingBag(10, 5),)),
    "adaptive_pools": (
        lambda x: (
            F.adaptive_avg_pool2d(x, (3, 5)),
            F.adaptive_max_pool2d(x, (3, 4)),
            F.adaptive_avg_pool1d(x[0], 3),
        ),
        (_random(1, 3, 7, 11),),
        (),
    ),
    "pools": (
        lambda x: (
            F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
            F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
            F.max_pool1d(x[0], 2),
            F.lp_pool2d(x, 2, 2),
            F.max_pool2d(x, 2, return_indices=True),
        ),
        (_random(1, 3, 7, 11),),
        (),
    ),
    "resizes": (
        lambda x: (
            F.interpolate(x, size=(9, 7)),
            F.interpolate(x, scale_factor=1.5, mode="bilinear"),
            F.interpolate(x, size=(9, 7), mode="bicubic", align_corners=True),
            F.interpolate(x, scale_factor=0.5, mode="area"),
            F.interpolate(x[0], scale_factor=2, mode="linear"),
        ),
        (_random(1, 3, 6, 5),),
        (),
    ),
    "shuffles": (
        lambda x: (F.pixel_shuffle(x, 2), F.pixel_unshuffle(x, 2), F.channel_shuffle(x, 4)),
        (_random(1, 8, 4, 4),),
        (),
    ),
    "convolutions": (
        lambda a, b, c, d, x: (a(x), b(x), c(x), d(x)),
        (_random(1, 4, 9, 9),),
        (
            nn.Conv2d(4, 6, 3, 2, padding="valid"),
            nn.Conv2d(4, 6, (2, 4), padding="same", dilation=2),
            nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2, dilation=2),
            nn.Conv2d(4, 4, 3, padding=1, padding_mode="circular"),
        ),
    ),
    "convolutions_1d": (
        lambda a, b, c, x: (a(x), b(x), c(x)),
        (_random(4, 9),),
        (
            nn.Conv1d(4, 6, 3, padding_mode="replicate", padding=1),
            nn.Conv1d(4, 6, 4, padding="same"),
            nn.ConvTranspose1d(4, 6, 3, 2),
        ),
    ),
    "norms": (
        lambda a, b, c, d, x: (a(x), b(x), c(x), d(x)),
        (_random(2, 4, 5, 5),),
        (
            nn.InstanceNorm2d(4, affine=True, track_running_stats=True),
            nn.InstanceNorm2d(4),
            nn.LocalResponseNorm(2),
            nn.RMSNorm(5),
        ),
    ),
    "batch_norms": (
        lambda a, b, x: (a(x), b(x)),
        (_random(2, 4, 5),),
        (nn.BatchNorm1d(4, affine=False), nn.BatchNorm1d(4, track_running_stats=False)),
    ),
    "parametrized": (
        lambda m, x: m(x),
        (_random(2, 4),),
        (nn.utils.parametrizations.spectral_norm(nn.Linear(4, 3)),),
    ),
    "crops": (lambda x: F.pad(x, (-1, 2, 1, -2), value=3.0), (_random(1, 4, 5),), ()),
    "grid": (lambda x, g: F.grid_sample(x, g), (_random(1, 3, 5, 5), _random(1, 4, 4, 2)), ()),
}

_ANGLES = _random(5, 4)

COMPLEX: dict[str, Sample] = {
    "rotations": (
        lambda x: torch.view_as_real(
            torch.view_as_complex(x.reshape(5, 2, 4, 2))
            * torch.polar(torch.ones(5, 4), _ANGLES)[:, None].conj()
        ).flatten(2),
        (_random(5, 2, 8),),
        (),
    ),
    "complex_arithmetic": (
        lambda x, y: (
            (torch.complex(x, y) / torch.complex(y, x)).real,
            (torch.complex(x, y) - 2 * x).imag,
            torch.complex(x, y).abs(),
            (torch.complex(x, y) + torch.complex(y, x)).t().angle(),
        ),
        (_random(3, 4), _random(3, 4)),
        (),
    ),
    "fourier": (
        lambda x: (
            torch.fft.fftn(x, dim=(1, 2)).real,
            torch.fft.rfft2(x, norm="ortho").abs(),
            torch.fft.irfft(torch.fft.rfft(x) * 2),
            torch.fft.irfft(torch.fft.rfft(x[..., :7]), n=7),
            torch.fft.ifft(torch.fft.fft(x)).real,
        ),
        (_random(2, 6, 8),),
        (),
    ),
    "spectrogram": (
        lambda x: torch.stft(x, 16, 4, window=torch.hann_window(16), return_complex=True).abs(),
        (_random(1, 64),),
        (),
    ),
}

SAMPLES: dict[str, Sample] = {**COMPLEX, **WRITES, **MOVES, **ARITHMETIC, **LAYERS}
