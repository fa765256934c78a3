"""Quantized programs compiled: the bytes of PyTorch, on this machine and on all kinds of cores."""

import numpy as np
import pytest
import torch
from torch import nn

import penjing
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize
from penjing.passes import FoldQuantization

from . import networks
from .quantized_models import DEQUANTIZE, quantized_program

ARM = ["arm-a72", "arm-a55", "arm-a76", "armv7-a9", "armv7-generic"]
X86 = ["x86-64-v2", "x86-64-v3", "host"]


def integers_of(name: str) -> tuple[Program, torch.Tensor]:
    """A quantized network that returns its integers, and an input."""
    model, x = networks.NETWORKS[name]()
    program = optimize(quantized_program(model, x), [FoldQuantization()])
    end = program.graph.output_node()
    real = list(program.output_nodes)
    assert all(node.target is DEQUANTIZE for node in real)
    end.args = (tuple(node.args[0] for node in real),)
    program.tidy()
    return program, x


def check_bytes(name: str, target: str) -> None:
    program, x = integers_of(name)
    artifact = penjing.compile(program, target=target)
    extremes = [x, torch.full_like(x, 1e9), torch.full_like(x, -1e9), torch.zeros_like(x)]
    for given in extremes[: None if target == "host" else 2]:
        wanted = program.run(given)
        wanted = wanted if isinstance(wanted, torch.Tensor) else wanted[0]
        assert wanted.dtype == torch.int8
        np.testing.assert_array_equal(artifact.run(given)[0], wanted.numpy())


@pytest.mark.parametrize("name", sorted(networks.NETWORKS))
def test_libraries_give_the_bytes_of_pytorch(name: str) -> None:
    check_bytes(name, "host")


@pytest.mark.slow
@pytest.mark.parametrize("target", X86[:-1])
@pytest.mark.parametrize("name", sorted(networks.NETWORKS))
def test_older_cores_give_the_same(name: str, target: str) -> None:
    check_bytes(name, target)


@pytest.mark.qemu
@pytest.mark.slow
@pytest.mark.parametrize("target", ARM)
@pytest.mark.parametrize("name", sorted(networks.NETWORKS))
def test_arm_gives_the_same(name: str, target: str) -> None:
    check_bytes(name, target)


@pytest.mark.qemu
@pytest.mark.parametrize("target", ["arm-a72", "armv7-a9"])
def test_arm_gives_the_same_for_attention(target: str) -> None:
    check_bytes("attention", target)


def test_the_report_counts_multiplications() -> None:
    program, _ = integers_of("rows")
    artifact = penjing.compile(program, target="host")
    assert artifact.report.macs == 2 * (8 * 9 * 3 * 5 + 72 * 10)


def test_what_stays_real_compiles_beside_integers() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(4, 8, 3), nn.ConvTranspose2d(8, 6, 2, 2), nn.GroupNorm(2, 6), nn.Conv2d(6, 3, 1)
    )
    x = torch.randn(1, 4, 7, 7)
    program = quantized_program(model, x)
    artifact = penjing.compile(program, target="host")
    (step,) = program.output_nodes[0].args[1:2]
    assert isinstance(step, float)
    apart = np.abs(artifact.run(x)[0] - program.run(x).numpy()) / step
    assert apart.max() < 2.5  # integers that real values between them turned over
    assert apart.mean() < 0.1
