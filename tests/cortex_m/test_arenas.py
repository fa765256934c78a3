"""The memory of the networks of MLPerf Tiny, bytes (1 KB = 1000 bytes)."""

import numpy as np
import pytest

import penjing
from benchmarks.micro import compiled, inputs, quantized

MOST = {"resnet8": 34_300, "mobilenet_v1": 39_300, "ds_cnn": 9_400, "autoencoder": 768}
CORES = ("cortex-m0plus", "cortex-m4", "cortex-m55")
FRAME = 96 * 96 * 3  # of MobileNetV1


def test_the_autoencoder_fits() -> None:
    sizes = compiled("autoencoder", "cortex-m4").manifest.sizes
    assert sizes.arena_bytes == sizes.arena_lower_bound_bytes <= MOST["autoencoder"]


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("network", MOST)
def test_every_network_fits_and_touches_no_more_stack_than_certified(
    network: str, core: str
) -> None:
    artifact = compiled(network, core)
    sizes = artifact.manifest.sizes
    assert sizes.arena_bytes == sizes.arena_lower_bound_bytes <= MOST[network]
    touched = artifact.measure_stack(*inputs(network))
    assert touched <= sizes.stack_bytes <= touched + 64


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("core", CORES)
def test_streams_of_rows_need_little_beside_the_frame(core: str) -> None:
    program = quantized("mobilenet_v1")
    artifact = penjing.compile(program, target=core, name="rows", stream=True)
    assert artifact.manifest.sizes.arena_bytes + FRAME <= 48_000
    (wanted,) = program.run_flat(*inputs("mobilenet_v1"))
    (got,) = artifact.run(*inputs("mobilenet_v1"))
    np.testing.assert_array_equal(got, wanted.numpy())


@pytest.mark.slow
@pytest.mark.qemu
def test_inputs_in_the_arena_need_no_memory_of_their_own() -> None:
    program = quantized("mobilenet_v1")
    artifact = penjing.compile(program, target="cortex-m4", name="reused", reuse_inputs=True)
    assert artifact.manifest.sizes.arena_bytes <= 39_300
    (wanted,) = program.run_flat(*inputs("mobilenet_v1"))
    (got,) = artifact.run(*inputs("mobilenet_v1"))
    np.testing.assert_array_equal(got, wanted.numpy())
