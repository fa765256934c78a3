"""What quantization after training costs: networks for digits, the real MiniLM, MobileNetV2.

python -m benchmarks.quantization [digits] [minilm] [mobilenet] [--json FILE]

digits: points of accuracy. minilm: how well embeddings are kept of held-out sentences (of packages
that calibration read nothing of) and of everyday ones. mobilenet: seconds of processor time that
calibration takes, and the size of the library for a Cortex-A72; its weights are random.
"""

import copy
import time
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

import penjing
from penjing.compiler.batched_run import run_batched
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_base import Pass
from penjing.compiler.pass_manager import optimize
from penjing.passes import Quantize, QuantizeDynamic, QuantizeWeights

from . import digits, sentences
from .networks import InvertedResidual, mobilenet_v2
from .table import Row, markdown, save

CALIBRATION_IMAGES = 256
CALIBRATION_TEXTS = 192
LENGTH = 64  # tokens
BATCH = 16
MOBILENET_IMAGES, MOBILENET_BATCH = 64, 8
OCTAVES = (4, 6)  # channels are rescaled by up to 2^these, either way
WAYS: dict[str, list[Pass]] = {
    "int8": [Quantize()],
    "int8 weights": [QuantizeWeights()],
    "int4 weights": [QuantizeWeights(bits=4)],
}
FOUR_BITS: dict[str, list[Pass]] = {
    "int4 weights, int8 at run time": [QuantizeWeights(bits=4), QuantizeDynamic()],
    "int4 weights, AWQ": [QuantizeWeights(bits=4, method="awq")],
    "int4 weights, nearest": [QuantizeWeights(bits=4, method="nearest")],
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
            changed = optimize(program, chosen, calibration=batches)
            after = digits.accuracy(_function(changed), data.test)
            row[way] = f"{after - before:+.2f}"
        yield row


def minilm_rows() -> Iterator[Row]:
    """Spearman's correlation of similarities and mean cosine of embeddings."""
    model = sentences.encoder()
    batches = sentences.calibration_batches(CALIBRATION_TEXTS, BATCH, LENGTH)
    program = trace(model, tuple(part[:1] for part in batches[0]))
    for way, chosen in (WAYS | FOUR_BITS).items():
        changed = optimize(program, chosen, calibration=batches)
        scores = sentences.scores(changed, program)
        size = sum(weight.nbytes for weight in changed.weights.values())
        row: Row = {"MiniLM": way}
        for kind in (sentences.HELD_OUT, sentences.EVERYDAY):
            row[f"{kind}, Spearman"] = f"{scores[kind][0]:.5f}"
            row[f"{kind}, mean cosine"] = f"{scores[kind][1]:.5f}"
        yield row | {"MB": f"{size / 1e6:.1f}"}


def mobilenet_rows() -> Iterator[Row]:
    """What it takes to calibrate MobileNetV2, and what its libraries take."""
    torch.manual_seed(0)
    model, inputs = mobilenet_v2()
    shape = MOBILENET_BATCH, *inputs[0].shape[1:]
    batches = [torch.randn(shape) for _ in range(MOBILENET_IMAGES // MOBILENET_BATCH)]
    program = trace(model, inputs)
    ways: dict[str, list[Pass]] = {"float32": [], "int8": WAYS["int8"]}
    for way, passes in ways.items():
        start = time.process_time()
        changed = optimize(program, passes, calibration=batches)
        seconds = time.process_time() - start if passes else None
        report = penjing.compile(changed, target="arm-a72").report
        yield {
            "MobileNetV2": way,
            "calibration, s": seconds,
            "library, MB": report.library_bytes / 1e6,
            "arena, MB": report.arena_bytes / 1e6,
        }


def _function(program: Program) -> Callable[[Tensor], Tensor]:
    """A program as a function of a batch of images."""
    return lambda images: run_batched(program, (images,)).outputs[0]


TABLES: dict[str, Callable[[], Iterator[Row]]] = {
    "digits": lambda: (row for seed in digits.SEEDS for row in digits_rows(seed)),
    "minilm": minilm_rows,
    "mobilenet": mobilenet_rows,
}


def main() -> None:
    """Print the tables that are asked for, all by default."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("tables", nargs="*", help=f"some of {', '.join(TABLES)}; default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also save the numbers")
    options = parser.parse_args()
    if unknown := set(options.tables) - set(TABLES):
        parser.error(f"unknown table {', '.join(sorted(unknown))}")
    tables: dict[str, list[Row]] = {}
    for name in options.tables or TABLES:
        tables[name] = list(TABLES[name]())
        print(markdown(tables[name]), flush=True)
    save([{"table": name, **row} for name, rows in tables.items() for row in rows], options.json)


if __name__ == "__main__":
    main()
