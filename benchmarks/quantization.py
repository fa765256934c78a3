"""What quantization after training costs: two networks for digits, and the real MiniLM.

Run as a module: `python -m benchmarks.quantization [digits] [minilm]`.
"""

import copy
import sys
from collections.abc import Callable, Iterator

import torch
from torch import Tensor, nn

from penjing.compiler.batched_run import run_batched
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_base import Pass
from penjing.compiler.pass_manager import optimize
from penjing.passes import Quantize, QuantizeWeights

from . import digits, sentences
from .networks import InvertedResidual
from .table import markdown

CALIBRATION_IMAGES = 256
CALIBRATION_TEXTS = 192
BATCH = 16
OCTAVES = (4, 6)  # channels are rescaled by up to 2^these, either way
WAYS: dict[str, Pass] = {
    "int8": Quantize(),
    "int8 weights": QuantizeWeights(),
    "int4 weights": QuantizeWeights(bits=4),
}


def with_relu(model: nn.Module) -> nn.Module:
    """The model with ReLU for ReLU6, in place: a factor can pass through it."""
    for name, child in model.named_children():
        if isinstance(child, nn.ReLU6):
            setattr(model, name, nn.ReLU())
        else:
            with_relu(child)
    return model


def rescaled(model: nn.Module, octaves: float) -> nn.Module:
    """The same function, with channels of other sizes between depthwise and pointwise layers."""
    model = copy.deepcopy(model)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for block in model.modules():
            if isinstance(block, InvertedResidual):
                norms = [each for each in block.modules() if isinstance(each, nn.BatchNorm2d)]
                layers = [each for each in block.modules() if isinstance(each, nn.Conv2d)]
                norm, weight = norms[-2], layers[-1].weight
                exponents = torch.rand(norm.num_features, generator=generator) * 2 - 1
                factors = 2 ** (octaves * exponents)
                norm.weight.mul_(factors)
                norm.bias.mul_(factors)
                weight.div_(factors.view(1, -1, 1, 1))
    return model


def digits_networks(seed: int) -> Iterator[tuple[str, nn.Module, digits.Digits]]:
    """Trained networks by name: as they are, and with channels rescaled."""
    digits.NETWORKS["depthwise, ReLU"] = lambda: with_relu(digits.depthwise_network())
    for name in digits.NETWORKS:
        model, data = digits.trained(name, seed)
        yield name, model, data
        if name == "depthwise, ReLU":
            for octaves in OCTAVES:
                yield f"depthwise, rescaled by 2^{octaves}", rescaled(model, octaves), data


def digits_rows(seed: int) -> Iterator[dict[str, object]]:
    """Points of accuracy that each way costs each network."""
    for name, model, data in digits_networks(seed):
        batches = list(data.train[0][:CALIBRATION_IMAGES].split(BATCH))
        program = trace(model, (batches[0][:1],))
        before = digits.accuracy(_function(program), data.test)
        row: dict[str, object] = {"network": name, "seed": seed, "float32 %": f"{before:.2f}"}
        for way, chosen in WAYS.items():
            changed = optimize(program, [chosen], calibration=batches)
            after = digits.accuracy(_function(changed), data.test)
            row[way] = f"{after - before:+.2f}"
        yield row


def minilm_rows() -> Iterator[dict[str, object]]:
    """Spearman's correlation of similarities and mean cosine of embeddings, held out."""
    model = sentences.encoder()
    batches = sentences.calibration_batches(CALIBRATION_TEXTS, BATCH)
    program = trace(model, tuple(part[:1] for part in batches[0]))
    for way, chosen in WAYS.items():
        changed = optimize(program, [chosen], calibration=batches)
        spearman, cosine = sentences.score(changed, program)
        size = sum(weight.nbytes for weight in changed.weights.values())
        yield {
            "MiniLM": way,
            "Spearman": f"{spearman:.5f}",
            "mean cosine": f"{cosine:.5f}",
            "MB": f"{size / 1e6:.1f}",
        }


def _function(program: Program) -> Callable[[Tensor], Tensor]:
    """A program as a function of a batch of images."""
    return lambda images: run_batched(program, (images,)).outputs[0]


def main(chosen: list[str]) -> None:
    """Print the tables that are asked for, both by default."""
    if not chosen or "digits" in chosen:
        rows = [row for seed in digits.SEEDS for row in digits_rows(seed)]
        print(markdown(rows), flush=True)
    if not chosen or "minilm" in chosen:
        print(markdown(list(minilm_rows())))


if __name__ == "__main__":
    main(sys.argv[1:])
