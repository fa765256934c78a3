"""The networks of MLPerf Tiny on Cortex-M cores: instructions, memory and flash of one inference.

Every instruction is counted on an emulated board: two runs give the same numbers. Beside them are
those of CMSIS-NN for the same layers (`CMSIS_NN`).

    python -m benchmarks.micro [NETWORK ...] [--target CORE ...] [--layers] [--json FILE]
"""

import json
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from functools import cache
from pathlib import Path

import torch

import penjing
from penjing.compiler.artifact import Artifact
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize
from penjing.compiler.profile import Profile
from penjing.compiler.runners.boards.objects import object_facts
from penjing.passes import Quantize
from penjing.passes.pipeline import microcontroller_pipeline
from penjing.targets.microcontrollers import CORES, Microcontroller

from .table import Row, markdown, save
from .tiny import TINY, build

# Millions of instructions. CMSIS-NN, main of 2026-07-15 (after v7.0.0), compiled by gcc 12.2 with
# -Ofast, called layer by layer with the tensors of the suite's own .tflite files and counted under
# QEMU 7.2; its outputs were those of LiteRT. On the M7 it executes what it does on the M4, within
# 1 %. For the autoencoder, the calls of fully connected layers alone.
CMSIS_NN = {
    "cortex-m4": {"resnet8": 29.9, "mobilenet_v1": 24.7, "ds_cnn": 7.84, "autoencoder": 0.58},
    "cortex-m7": {"resnet8": 29.9, "mobilenet_v1": 24.7, "ds_cnn": 7.84, "autoencoder": 0.58},
    "cortex-m55": {"resnet8": 4.92, "mobilenet_v1": 6.61, "ds_cnn": 1.87, "autoencoder": 0.36},
}
DEFAULT = ("cortex-m4", "cortex-m55")
SAVED = Path(__file__).with_name("results") / "micro.json"


@cache
def quantized(network: str) -> Program:
    """A network with int8 weights, activations, inputs and outputs."""
    model, (x,) = build(network)
    batches = [torch.randn(8, *x.shape[1:]) for _ in range(4)]
    passes = microcontroller_pipeline([Quantize(outputs="integers")])
    return optimize(trace(model, (x,)), passes, calibration=batches)


@cache
def compiled(network: str, target: str) -> Artifact:
    """A quantized network as C files for a core."""
    return penjing.compile(quantized(network), target=target, name=network)


def inputs(network: str) -> tuple[torch.Tensor, ...]:
    """Random integers that a quantized network takes: always the same."""
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.randint(-128, 128, spec.shape, dtype=torch.int8, generator=generator)
        for spec in quantized(network).inputs
    )


def measure(network: str, target: str) -> Row:
    """What one inference costs, and what CMSIS-NN executes where that is known."""
    artifact, given = compiled(network, target), inputs(network)
    facts = sizes(artifact)
    macs, instructions = TINY[network].macs, artifact.count_instructions(*given)
    peer = CMSIS_NN.get(target, {}).get(network)
    return {
        "network": network,
        "core": target,
        "multiply-adds": macs,
        "instructions": instructions,
        "per multiply-add": instructions / macs,
        "CMSIS-NN": None if peer is None else round(peer * 1e6),
        "times fewer": None if peer is None else peer * 1e6 / instructions,
        "arena bytes": artifact.manifest.sizes.arena_bytes,
        "stack bytes": artifact.measure_stack(*given),
        "code bytes": facts["code"],
        "constant bytes": facts["constants"],
    }


def kept() -> dict[tuple[str, str], Row]:
    """The rows that were saved last, by network and core."""
    return {(row["network"], row["core"]): row for row in json.loads(SAVED.read_text())}


def sizes(artifact: Artifact) -> dict[str, int]:
    """Bytes of code and constants in the model's own objects, without memcpy and memset."""
    core = artifact.manifest.target
    assert isinstance(core, Microcontroller)
    files = [name for name in artifact.manifest.files if name.endswith((".c", ".h"))]
    sources = {name: (artifact.folder / name).read_bytes() for name in files}
    facts = object_facts(core, sources)
    return {"code": facts.code_bytes, "constants": facts.constant_bytes}


def layer_rows(profile: Profile) -> list[Row]:
    """What each layer executes."""
    return [
        {
            "layer": ", ".join(filter(None, row.call.modules)),
            "operator": ", ".join(op.rpartition("::")[2].split(".")[1] for op in row.call.ops),
            "multiply-adds": row.call.macs,
            "instructions": row.cost,
            "per multiply-add": row.cost / row.call.macs if row.call.macs else None,
        }
        for row in profile.rows
    ]


def main() -> None:
    """Measure what the command line names."""
    options = _options()
    rows = []
    for target in options.target:
        for network in options.networks:
            rows.append(measure(network, target))
            if options.layers:
                profile = compiled(network, target).profile(*inputs(network))
                print(f"\n{network} on {target}\n\n{markdown(layer_rows(profile))}\n")
    print(markdown(rows))
    save(rows, options.json)


def _options() -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help=f"some of {', '.join(TINY)} (default: all)")
    cores = [core.name for core in CORES]
    parser.add_argument(
        "--target", nargs="+", default=DEFAULT, choices=[*cores, "all"], metavar="CORE"
    )
    parser.add_argument("--layers", action="store_true", help="a table for each network too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also save the numbers")
    options = parser.parse_args()
    if unknown := set(options.networks) - set(TINY):
        parser.error(f"unknown network {', '.join(sorted(unknown))}")
    options.networks = options.networks or list(TINY)
    options.target = cores if "all" in options.target else options.target
    return options


if __name__ == "__main__":
    main()
