"""Models that onnxruntime's optimizers rewrote with operators of its own domain."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.transformers import optimizer
from torch import nn
from torch.nn import functional

import penjing

HEADS, SIZE, WORDS = 4, 32, 50


class Attention(nn.Module):
    """Spelled out, as it was before PyTorch had a function for it."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(SIZE, SIZE) for _ in range(4))

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        q, k, v = (self._heads(layer(x)) for layer in (self.query, self.key, self.value))
        scores = torch.matmul(q, k.transpose(-1, -2)) / (SIZE // HEADS) ** 0.5 + mask
        seen = torch.matmul(scores.softmax(-1), v).permute(0, 2, 1, 3).contiguous()
        result: torch.Tensor = self.out(seen.view(x.shape))
        return result

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(*x.shape[:2], HEADS, SIZE // HEADS).permute(0, 2, 1, 3)


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention, self.wide, self.narrow = (
            Attention(),
            nn.Linear(SIZE, 2 * SIZE),
            nn.Linear(2 * SIZE, SIZE),
        )
        self.first, self.last = nn.LayerNorm(SIZE), nn.LayerNorm(SIZE)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        x = self.first(x + self.attention(x, mask))
        result: torch.Tensor = self.last(x + self.narrow(functional.gelu(self.wide(x))))
        return result


class Encoder(nn.Module):
    """A small BERT (Devlin et al. 2018)."""

    def __init__(self) -> None:
        super().__init__()
        tables = [nn.Embedding(count, SIZE) for count in (WORDS, 16, 2)]
        self.words, self.places, self.types = tables
        self.norm, self.layers = nn.LayerNorm(SIZE), nn.ModuleList([Layer(), Layer()])

    def forward(self, words: torch.Tensor, types: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
        places = self.places(torch.arange(words.shape[1])[None])
        x = self.norm(self.words(words) + places + self.types(types))
        mask = (1 - seen[:, None, None].float()) * -10000.0
        for layer in self.layers:
            x = layer(x, mask)
        result: torch.Tensor = x
        return result


def inputs() -> tuple[torch.Tensor, ...]:
    """Two sentences, the second of them shorter."""
    generator = torch.Generator().manual_seed(0)
    words = torch.randint(0, WORDS, (2, 8), generator=generator)
    seen = torch.ones(2, 8, dtype=torch.long)
    seen[1, 5:] = 0
    return words, words % 2, seen


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, torch.Tensor]:
    """The file of an encoder, and what it gives for `inputs`."""
    torch.manual_seed(0)
    model, path = Encoder().eval(), tmp_path_factory.mktemp("encoder") / "encoder.onnx"
    names = ["input_ids", "token_type_ids", "attention_mask"]
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        options = {"dynamo": False, "opset_version": 14, "input_names": names}
        torch.onnx.export(model, inputs(), path, **options)  # type: ignore[arg-type]
        return path, model(*inputs())


def domains(path: Path) -> set[str]:
    return {node.op_type for node in onnx.load(path).graph.node if node.domain == "com.microsoft"}


def optimized(path: Path) -> Path:
    """What onnxruntime's optimizer for transformers makes of a file."""
    result = path.with_name("fused.onnx")
    fused = optimizer.optimize_model(
        str(path), model_type="bert", num_heads=HEADS, hidden_size=SIZE, opt_level=0
    )
    fused.save_model_to_file(str(result))
    return result


def rewritten(path: Path) -> Path:
    """What a session of onnxruntime makes of a file."""
    result, options = path.with_name("rewritten.onnx"), onnxruntime.SessionOptions()
    level = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_EXTENDED
    options.optimized_model_filepath, options.log_severity_level = str(result), 3
    onnxruntime.InferenceSession(path, options)
    return result


def test_fused_transformer(encoder: tuple[Path, torch.Tensor]) -> None:
    path, expected = encoder
    fused = optimized(path)
    assert domains(fused) >= {
        *("Attention", "BiasGelu", "EmbedLayerNormalization", "SkipLayerNormalization")
    }
    torch.testing.assert_close(penjing.trace(fused).run(*inputs()), expected)


def test_transformer_of_a_session(encoder: tuple[Path, torch.Tensor]) -> None:
    path, expected = encoder
    result = rewritten(path)
    assert domains(result) >= {"FusedMatMul", "SkipLayerNormalization"}
    torch.testing.assert_close(penjing.trace(result).run(*inputs()), expected)


def test_convolutions_of_a_session(tmp_path: Path) -> None:
    path, x = tmp_path / "network.onnx", torch.randn(1, 3, 8, 8)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.Sigmoid()).eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(model, (x,), path, dynamo=False, input_names=["x"])
        expected = model(x)
    result = rewritten(path)
    assert domains(result) == {"FusedConv"}
    torch.testing.assert_close(penjing.trace(result).run(x), expected)


@pytest.mark.slow
def test_libraries_of_fused_transformers(encoder: tuple[Path, torch.Tensor]) -> None:
    path, expected = encoder
    for file in (path, optimized(path), rewritten(path)):
        (found,) = penjing.compile(file, target="host").run(*inputs())
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
