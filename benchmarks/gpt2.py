"""One decoding step of GPT-2 in plain torch: the same values as transformers' GPT2LMHeadModel."""

import torch
from torch import nn
from torch.nn import functional

Caches = tuple[torch.Tensor, ...]


class Gpt2Step(nn.Module):
    """Logits of the next token, and the caches with this token's keys and values appended.

    Args:
        width: Features of a token.
        heads: Attention heads.
        depth: Blocks.
        tokens: Size of the vocabulary.
        positions: Longest text.
    """

    def __init__(self, width: int, heads: int, depth: int, tokens: int, positions: int) -> None:
        super().__init__()
        self.token = nn.Embedding(tokens, width)
        self.position = nn.Embedding(positions, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)

    def forward(self, ids: torch.Tensor, position: torch.Tensor, *caches: torch.Tensor) -> Caches:
        """Ids and position [1,1], caches [1,heads,past,width/heads]: keys, values of each block."""
        x = self.token(ids) + self.position(position)
        grown: list[torch.Tensor] = []
        for index, block in enumerate(self.blocks):
            x, keys, values = block(x, *caches[2 * index : 2 * index + 2])
            grown += [keys, values]
        return functional.linear(self.norm(x), self.token.weight), *grown


class Block(nn.Module):
    """Attention to the cache, then a perceptron, each beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.queries_keys_values = nn.Linear(width, 3 * width)
        self.project = nn.Linear(width, width)
        self.expand, self.contract = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> Caches:
        parts = self.queries_keys_values(self.norm1(x)).chunk(3, dim=-1)
        query, key, value = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in parts)
        keys, values = torch.cat([keys, key], dim=2), torch.cat([values, value], dim=2)
        attended = functional.scaled_dot_product_attention(query, keys, values)
        x = x + self.project(attended.transpose(1, 2).flatten(2))
        hidden = functional.gelu(self.expand(self.norm2(x)), approximate="tanh")
        return x + self.contract(hidden), keys, values


def decode_step() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """GPT-2 small (Radford et al. 2019): one token after 256, embedding and logits tied."""
    depth, heads, width, past = 12, 12, 768, 256
    model = Gpt2Step(width, heads, depth, tokens=50257, positions=1024)
    for parameter in model.parameters():
        if parameter.ndim == 2:
            nn.init.normal_(parameter, std=0.02)
    caches = [torch.randn(1, heads, past, width // heads) for _ in range(2 * depth)]
    return model, (torch.tensor([[464]]), torch.tensor([[past]]), *caches)
