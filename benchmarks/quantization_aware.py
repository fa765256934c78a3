"""What training with rounding wins back where rounding after training loses: a network for digits.

python -m benchmarks.quantization_aware [--json FILE]
"""

from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Callable, Iterator
from pathlib import Path

from torch import Tensor

from penjing.compiler.batched_run import run_batched
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize
from penjing.passes import Quantize, QuantizeAware

from . import digits
from .table import publish

NETWORK = "depthwise"
WEIGHT_BITS = (4, 3, 2)  # activations have 8
CALIBRATION_IMAGES = 256
BATCH = 16
EPOCHS = 8


def rows(seed: int) -> Iterator[dict[str, object]]:
    """Accuracies of one trained network: as it is, rounded after training, and trained rounded."""
    model, data = digits.trained(NETWORK, seed)
    calibration = list(data.train[0][:CALIBRATION_IMAGES].split(BATCH))
    program = trace(model, (calibration[0][:1],))
    for bits in WEIGHT_BITS:
        after = optimize(program, [Quantize(weight_bits=bits)], calibration=calibration)
        trained = optimize(program, [training(bits, data)], calibration=calibration)
        found = {
            "float32 %": accuracy(program, data),
            "after training %": accuracy(after, data),
            "in training %": accuracy(trained, data),
        }
        yield {"bits of weights": bits, "seed": seed, **found}


def training(bits: int, data: digits.Digits) -> QuantizeAware:
    """A fifth of the epochs that the network itself was trained for, without labels."""
    return QuantizeAware(
        weight_bits=bits,
        data=data.train[0].split(digits.BATCH),
        validation=data.validation[0].split(digits.BATCH),
        output="kl",
        epochs=EPOCHS,
        batch_size=32,
        lr=1e-3,
    )


def accuracy(program: Program, data: digits.Digits) -> float:
    """Of a program on unseen digits, in percent."""
    return digits.accuracy(_function(program), data.test)


def means(found: list[dict[str, object]]) -> Iterator[dict[str, object]]:
    """The mean over seeds of each number of bits."""
    for bits in WEIGHT_BITS:
        chosen = [row for row in found if row["bits of weights"] == bits]
        columns = [name for name in chosen[0] if name.endswith("%")]
        mean = {
            name: sum(float(str(row[name])) for row in chosen) / len(chosen) for name in columns
        }
        yield {"bits of weights": bits, "seed": "mean", **mean}


def _function(program: Program) -> Callable[[Tensor], Tensor]:
    """A program as a function of a batch of images."""
    return lambda images: run_batched(program, (images,)).outputs[0]


def main() -> None:
    """Print the accuracies of all seeds and their means."""
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    found = [row for seed in digits.SEEDS for row in rows(seed)]
    publish([*found, *means(found)], options.json)


if __name__ == "__main__":
    main()
