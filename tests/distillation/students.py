"""A small encoder as a teacher, students that are shorter or narrower, and how near they are."""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from penjing.compiler.batched_run import run_batched
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize
from penjing.passes import Distill

TOKENS, WIDTH = 6, 8


class Block(nn.Module):
    """Attention and a feed-forward part, pre-norm; `width` of the residual stream."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv = nn.Linear(width, 3 * width)
        self.up, self.down = nn.Linear(width, 16), nn.Linear(16, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norms[0](x)).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + seen.transpose(1, 2).flatten(2)
        x += self.down(functional.gelu(self.up(self.norms[1](x))))
        return x


class Encoder(nn.Module):
    """Token ids and mask [N,T] -> mean of the tokens that the mask shows, [N,3]."""

    def __init__(self, blocks: int = 3, width: int = WIDTH) -> None:
        super().__init__()
        self.table = nn.Embedding(11, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.head = nn.Linear(width, 3)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = self.table(ids)
        for block in self.blocks:
            x = block(x, mask[:, None, None])
        mean = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        result: Tensor = self.head(mean)
        return result


class Same(nn.Module):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return x


def token_batch(count: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 11, (count, TOKENS), generator=generator)
    lengths = torch.randint(2, TOKENS + 1, (count, 1), generator=generator)
    return ids, torch.arange(TOKENS) < lengths


def small_encoder(width: int = WIDTH) -> Encoder:
    torch.manual_seed(0)
    return Encoder(width=width).eval()


@cache
def the_teacher() -> Program:
    return trace(small_encoder(), token_batch(1))


@cache
def shorter_student() -> Program:
    """The teacher without its second block."""
    model = small_encoder()
    model.blocks[1] = Same()
    return trace(model, token_batch(1))


@cache
def narrow_student() -> Program:
    return trace(small_encoder(width=4), token_batch(1))


def samples(count: int = 32) -> list[tuple[Tensor, Tensor]]:
    ids, mask = token_batch(count)
    return list(zip(ids.split(1), mask.split(1), strict=True))


def distilled(student: Program, *, data: Any = None, **options: Any) -> Program:
    settings = {
        "teacher": the_teacher(),
        "epochs": 6,
        "batch_size": 8,
        "lr": 3e-3,
        "embeddings": "train",
        **options,
    }
    return optimize(student, [Distill(**settings)], calibration=samples() if data is None else data)


def error_of(program: Program, teacher: Program | None = None, seed: int = 7) -> float:
    """Relative error on samples that were not trained on."""
    with torch.no_grad():
        ours, theirs = (
            run_batched(one, token_batch(64, seed)).outputs[0]
            for one in (program, teacher or the_teacher())
        )
    return float((ours - theirs).norm() / theirs.norm())


def details_of(program: Program) -> dict[str, Any]:
    return program.reports[-1].details
