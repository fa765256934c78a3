"""MLPerf Tiny on the emulated boards: the bytes of PyTorch, within the budgets of each core."""

import numpy as np
import pytest
import torch

from benchmarks.micro import SAVED, compiled, inputs, kept, quantized, sizes
from benchmarks.tiny import TINY
from penjing.compiler.runners.boards.board import BOARDS
from penjing.compiler.runners.boards.model import ModelOnBoard
from penjing.compiler.runners.boards.runner import BoardRunner
from penjing.targets.microcontrollers import CORES

# Most millions of instructions of one inference.
BUDGETS = {
    "cortex-m4": {"resnet8": 15.0, "mobilenet_v1": 12.0, "ds_cnn": 3.9, "autoencoder": 0.36},
    "cortex-m7": {"resnet8": 15.0, "mobilenet_v1": 12.0, "ds_cnn": 3.9, "autoencoder": 0.36},
    "cortex-m55": {"resnet8": 4.92, "mobilenet_v1": 6.61, "ds_cnn": 1.87, "autoencoder": 0.36},
}
KEPT = kept()
OTHERS = [(name, core.name) for name in TINY for core in CORES]
OTHERS.remove(("autoencoder", "cortex-m4"))


def _check(network: str, core: str) -> None:
    artifact, program = compiled(network, core), quantized(network)
    extremes = tuple(torch.where(x > 0, 127, -128).to(torch.int8) for x in inputs(network))
    for given in (inputs(network), extremes):
        wanted = program.run_flat(*given)
        for array, tensor in zip(artifact.run(*given), wanted, strict=True):
            np.testing.assert_array_equal(array, tensor.numpy())
    count = artifact.count_instructions(*inputs(network))
    assert count <= 1e6 * BUDGETS.get(core, {}).get(network, np.inf)
    if (network, core) in KEPT:
        saved = KEPT[network, core]["instructions"]
        assert count <= 1.001 * saved, (
            f"python -m benchmarks.micro --target all --json {SAVED} keeps new ones"
        )
    total = artifact.profile(*inputs(network)).total  # of a build that inlines a little less
    assert abs(total - count) < 0.01 * count
    assert sizes(artifact)["code"] <= 20_000
    assert artifact.measure_stack(*inputs(network)) <= 512


@pytest.mark.qemu
def test_a_network_on_a_board() -> None:
    _check("autoencoder", "cortex-m4")


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize(("network", "core"), OTHERS)
def test_every_network_on_every_core(network: str, core: str) -> None:
    _check(network, core)


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("network", ["resnet8", "ds_cnn"])
def test_networks_on_a_core_that_refuses_unaligned_words(network: str) -> None:
    """The board of the Cortex-M0+ has a Cortex-M3; this one has less memory, and the real core."""
    artifact = compiled(network, "cortex-m0plus")
    model = BoardRunner(artifact.manifest, artifact.folder).model
    (x,) = inputs(network)
    run = ModelOnBoard(model, board=BOARDS["lm3s6965evb"]).run(
        x.permute(0, 2, 3, 1).contiguous().numpy().tobytes()
    )
    (wanted,) = quantized(network).run_flat(x)
    assert run.files["outputs"] == wanted.numpy().tobytes()
