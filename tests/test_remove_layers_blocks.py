"""Blocks are found by the structure of the graph, whatever the architecture."""

import pytest
import torch
from torch import nn

from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.passes.blocks.find_blocks import find_blocks
from tests.zoo import make


def names(program: Program) -> list[str]:
    """The names of all blocks, layers with a star."""
    return [block.name + "*" * block.is_layer for block in find_blocks(program)]


def transformer_layers(*paths: str) -> list[str]:
    return [name for path in paths for name in (f"{path}[attention]", f"{path}[ffn]", f"{path}*")]


@pytest.mark.parametrize(
    ("model", "layers"),
    [
        ("bert", ["encoder.layer.0", "encoder.layer.1"]),
        ("gpt2", ["transformer.h.0", "transformer.h.1"]),
        ("vit", ["vit.layers.0", "vit.layers.1"]),
        ("llama", ["model.layers.0", "model.layers.1"]),
        ("t5_encoder", ["encoder.block.0.layer", "encoder.block.1.layer"]),
        ("whisper_encoder", ["layers.0", "layers.1"]),
        ("gemma2", ["layers.0", "layers.1"]),
        ("opt", ["decoder.layers.0", "decoder.layers.1"]),  # reshapes between the parts
        ("squeezebert", ["encoder.layers.0", "encoder.layers.1"]),  # permutes around its norms
        ("electra", ["encoder.layer.0", "encoder.layer.1"]),  # the first one follows no norm
        ("own_transformer", ["encoder.layers.0", "encoder.layers.1"]),
    ],
)
def test_layers_of_transformers_and_their_parts(model: str, layers: list[str]) -> None:
    assert names(trace(*make(model))) == transformer_layers(*layers)


@pytest.mark.parametrize(
    ("model", "blocks"),
    [
        ("resnet", ["encoder.stages.1.layers.1"]),
        ("own_resnet18", [f"layers.{index}" for index in (0, 1, 3, 5, 7)]),
        (
            "convnext",
            [
                f"encoder.stages.{at}"
                for at in ("0.layers.0", "1.layers.0", "2.layers.0", "2.layers.1")
            ],
        ),
        ("mobilenet_v2", [f"mobilenet_v2.layer.{at}" for at in (1, 3, 4, 6, 7, 8, 10, 11, 13, 14)]),
        ("own_dense_cnn", []),
        ("own_unet", []),
        ("own_mlp", []),
    ],
)
def test_residual_blocks_of_convolutional_networks(model: str, blocks: list[str]) -> None:
    assert names(trace(*make(model))) == [f"{name}*" for name in blocks]


def test_a_layer_that_runs_twice_is_two_blocks() -> None:
    found = [block for block in find_blocks(trace(*make("albert"))) if block.is_layer]
    path = "encoder.albert_layer_groups.0.albert_layers.0"
    assert [block.name for block in found] == [path, f"{path}(2)"]


def test_blocks_inside_a_part_are_no_layers() -> None:
    blocks = {block.name: block for block in find_blocks(trace(*make("mobilebert")))}
    assert blocks["encoder.layer.0"].is_layer
    assert not blocks["encoder.layer.0.ffn.0[ffn]"].is_layer
    assert set(blocks["encoder.layer.0.ffn.0[ffn]"].nodes) < set(blocks["encoder.layer.0"].nodes)


def test_a_post_norm_block_ends_behind_its_norm() -> None:
    attention, _, layer = find_blocks(trace(*make("bert")))[:3]
    norm = torch.ops.aten.layer_norm.default
    assert attention.entry.target is norm
    assert attention.exit.target is norm
    assert attention.sum is attention.exit.args[0]
    assert attention.entry_sum is attention.entry.args[0]
    assert layer.entry_sum is attention.entry_sum


def test_the_last_norm_of_a_pre_norm_network_is_no_part_of_a_block() -> None:
    last = find_blocks(trace(*make("gpt2")))[-1]
    assert last.exit.target is torch.ops.aten.add.Tensor
    assert last.exit is last.sum


class Parallel(nn.Module):
    """Attention beside a feed-forward part, as in GPT-J: two sums, one of them of a later value."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(8)
        self.mix = nn.MultiheadAttention(8, 2, batch_first=True)
        self.up, self.down = nn.Linear(8, 16), nn.Linear(16, 8)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        normed = self.norm(x)
        mixed: torch.Tensor = self.mix(normed, normed, normed, need_weights=False)[0]
        tuned: torch.Tensor = self.down(self.up(normed).relu())
        return x + mixed + tuned


def test_parallel_branches_are_two_parts() -> None:
    program = trace(Parallel().eval(), (torch.randn(1, 3, 8),))
    found = {block.parts: block for block in find_blocks(program)}
    assert set(found) == {("attention",), ("ffn",), ("attention", "ffn")}
    assert found["ffn",].entry is found["attention",].exit
    assert found["attention", "ffn"].entry is program.input_nodes[0]


class Sums(nn.Module):
    """Sums that close no block: of an embedding, of a formula, of two branches."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(9, 8), nn.Embedding(9, 8)
        self.left, self.right = nn.Linear(8, 8), nn.Linear(8, 8)

    def forward(self, words: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        x = self.words(words) + self.places(places)
        x = x + 0.1 * x**3
        return torch.as_tensor(self.left(x) + self.right(x))


def test_other_sums_are_no_blocks() -> None:
    ids = torch.arange(5).expand(2, 5)
    assert find_blocks(trace(Sums().eval(), (ids, ids))) == []
