"""Quantized networks on a device: the bytes of PyTorch, whatever the words of the CPU beside it."""

import numpy as np
import pytest
import torch

from penjing import targets
from penjing.compiler.lowering.lower import lower
from penjing.compiler.pass_manager import optimize
from penjing.passes.pipeline import cpu_pipeline
from penjing.targets.opencl.words import Kind, kind_of
from tests.opencl.programs import run_lowered
from tests.quantization.networks import NETWORKS
from tests.quantization.test_libraries import integers_of

BESIDE = {  # a GPU beside a CPU for every kind of words
    Kind.HALVES: "opencl,cpu=x86-64-v3",
    Kind.BYTES: "adreno-7xx",
    Kind.PAIRS: "adreno-6xx",
}
SOME = {(Kind.HALVES, "convolutions"), (Kind.BYTES, "depthwise"), (Kind.PAIRS, "residual")}
CASES = [
    pytest.param(kind, name, marks=() if (kind, name) in SOME else pytest.mark.slow)
    for name in sorted(NETWORKS)
    for kind in BESIDE
]


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_devices_give_the_bytes_of_pytorch(kind: Kind, name: str) -> None:
    target = targets.get(BESIDE[kind])
    assert kind_of(target) is kind
    program, x = integers_of(name)
    lowered = lower(optimize(program, cpu_pipeline([])), target, name="integers")
    for given in (x, torch.full_like(x, 1e9)):
        wanted = program.run(given)
        wanted = wanted if isinstance(wanted, torch.Tensor) else wanted[0]
        assert wanted.dtype == torch.int8
        found = run_lowered(lowered, [given])[0]
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())
