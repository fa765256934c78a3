"""What quantization costs trained networks, as benchmarks/quantization.py measures it."""

import pytest
import torch

from benchmarks import digits, quantization, sentences
from penjing.compiler.batched_run import run_batched
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize
from penjing.passes import Quantize, QuantizeWeights


def test_rescaled_networks_are_the_same_function() -> None:
    torch.manual_seed(0)
    model = quantization.with_relu(digits.depthwise_network()).eval()
    images = torch.rand(4, 1, 8, 8)
    with torch.no_grad():
        wanted, got = model(images), quantization.rescaled(model, 6)(images)
    torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def accuracy(program: Program, data: digits.Digits) -> float:
    return digits.accuracy(lambda images: run_batched(program, (images,)).outputs[0], data.test)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["residual", "depthwise"])
def test_digits_keep_their_accuracy(name: str) -> None:
    torch.manual_seed(0)
    data, model = digits.load(0), quantization.with_relu(digits.NETWORKS[name]())
    digits.fit(model, data, epochs=8)
    batches = list(data.train[0][:128].split(16))
    for octaves in (0, 6):
        program = trace(quantization.rescaled(model, octaves), (batches[0][:1],))
        before = accuracy(program, data)
        assert before > 95
        for chosen in (Quantize(), QuantizeWeights(bits=4)):
            changed = optimize(program, [chosen], calibration=batches)
            assert accuracy(changed, data) > before - 0.6


@pytest.mark.slow
def test_embeddings_stay() -> None:
    model = sentences.encoder()
    batches = sentences.calibration_batches(24, 8, length=32)
    program = trace(model, tuple(part[:1] for part in batches[0]))
    texts = [text for _, *pair in sentences.held_out_pairs()[:12] for text in pair]
    wanted = sentences.embed(program, texts)
    for chosen, least in ((Quantize(), 0.99), (QuantizeWeights(), 0.999)):
        got = sentences.embed(optimize(program, [chosen], calibration=batches), texts)
        assert float(torch.cosine_similarity(got, wanted).mean()) > least
