"""Quantize: which values are rounded, in which steps, and what that costs."""

from textwrap import dedent
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import penjing
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize
from penjing.passes import FoldQuantization, Quantize

from .functions import traced
from .quantization.networks import NETWORKS
from .quantization.quantized_models import DEQUANTIZE, LAYERS, QUANTIZE, TRANSPOSED, aten


def samples(x: Tensor, count: int = 4) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [x, *(torch.randn(x.shape, generator=generator) for _ in range(count - 1))]


def decibels(program: Program, changed: Program, x: Tensor) -> float:
    """Signal to noise of the outputs on data that was not calibrated with."""
    data = samples(x, 12)[4:]
    wanted = torch.cat([program.run(each) for each in data])
    got = torch.cat([changed.run(each) for each in data])
    return float(10 * torch.log10(wanted.square().sum() / (got - wanted).square().sum()))


def quantized(program: Program, x: Tensor, **options: Any) -> Program:
    return optimize(program, [Quantize(**options)], calibration=samples(x))


def steps(program: Program) -> list[tuple[object, object]]:
    """Scale and zero point of every quantize node."""
    nodes = program.graph.find_nodes(op="call_function", target=QUANTIZE)
    return [(node.args[1], node.args[2]) for node in nodes]


def test_layers_read_integers() -> None:
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.tensor([[1.27, 0.5], [-0.3, 0.127]])
    model = nn.Sequential(layer, nn.ReLU())
    program = trace(model.eval(), (torch.zeros(1, 2),))
    data = [torch.tensor([[2.55, 0.0]]), torch.tensor([[0.0, 1.0]])]
    changed = optimize(program, [Quantize(correct_bias=False)], calibration=data)
    assert "\n" + str(changed) == dedent("""
        %0 = input input: f32[1,2]
        %1 = quantized_decomposed.quantize_per_tensor(%0, 0.009999999776482582, -128, -128, 127, i8): i8[1,2]
        %2 = quantized_decomposed.dequantize_per_tensor(%1, 0.009999999776482582, -128, -128, 127, i8): f32[1,2]
        %3 = quantized_decomposed.dequantize_per_channel(@0.weight_int8, @0.weight_scales, @0.weight_zero_points, 0, -127, 127, i8): f32[2,2]
        %4 = aten.linear(%2, %3): f32[1,2]
        %5 = aten.relu(%4): f32[1,2]
        return %5
        """)  # noqa: E501  # a program's text
    assert changed.weights["0.weight_int8"].tolist() == [[127, 50], [-127, 54]]
    assert changed.reports[-1].rewrites == 2


@pytest.mark.parametrize("name", sorted(set(NETWORKS) - {"squeeze"}))
@pytest.mark.parametrize("scope", ["all", "products"])
def test_networks_become_integers(name: str, scope: str) -> None:
    model, x = NETWORKS[name]()
    program = trace(model.eval(), (x,))
    changed = quantized(program, x, scope=scope)
    assert decibels(program, changed, x) > 24
    folded = optimize(changed, [FoldQuantization()])
    assert decibels(program, folded, x) > 24
    layers = LAYERS | TRANSPOSED
    assert not [node for node in folded.graph.nodes if node.target in layers]


def test_everything_between_layers_becomes_integers() -> None:
    def forward(first: nn.Module, last: nn.Module, x: Tensor) -> Any:
        y = functional.silu(functional.max_pool2d(first(x), 2))
        return last((y + functional.relu(y)).mean((2, 3)))

    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(2))
    torch.manual_seed(0)
    program = traced(forward, x, modules=(nn.Conv2d(3, 8, 3), nn.Linear(8, 4)))
    folded = optimize(quantized(program, x), [FoldQuantization()])
    real = {n.target for n in folded.graph.nodes if n.op == "call_function"} - {QUANTIZE}
    assert all("int8" in str(target) or target is aten.max_pool2d.default for target in real)


def test_parts_and_whole_share_steps() -> None:
    def forward(one: nn.Module, two: nn.Module, last: nn.Module, x: Tensor) -> Any:
        joined = torch.cat([one(x), two(x) * 5], 1)
        return last(functional.max_pool2d(joined, 2))

    x = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(3))
    modules = nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 1), nn.Conv2d(4, 2, 1)
    changed = quantized(traced(forward, x, modules=modules), x)
    assert len(steps(changed)) == 5  # input, parts, whole, pool
    assert len(set(steps(changed))) == 2


def rescaled_depthwise(octaves: float) -> nn.Module:
    """Inverted residuals whose depthwise results differ by 2^-octaves to 2^octaves."""
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU()]
    for _ in range(2):
        inside, outside = nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.Conv2d(16, 8, 1)
        factors = 2 ** ((torch.rand(16) * 2 - 1) * octaves)
        inside.weight.data *= factors.view(-1, 1, 1, 1)
        assert inside.bias is not None
        inside.bias.data *= factors
        outside.weight.data /= factors.view(1, -1, 1, 1)
        layers += [nn.Conv2d(8, 16, 1), nn.ReLU(), inside, nn.ReLU(), outside]
    return nn.Sequential(*layers).eval()


def test_sizes_of_channels_do_not_matter() -> None:
    x = torch.randn(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    worst, found = 100.0, []
    for octaves in (0, 4, 6):
        program = trace(rescaled_depthwise(octaves), (x,))
        found.append(decibels(program, quantized(program, x), x))
        worst = min(worst, decibels(program, quantized(program, x, equalize=False), x))
    assert min(found) > max(found) - 3
    assert worst < min(found) - 10


def test_sizes_of_channels_move_into_norms_and_factors() -> None:
    def forward(norm: nn.Module, one: nn.Module, two: nn.Module, x: Tensor) -> Any:
        return two(functional.gelu(one(norm(x))))

    torch.manual_seed(0)
    norm, one, two = nn.LayerNorm(12), nn.Linear(12, 16), nn.Linear(16, 6)
    norm.weight.data[3] *= 60
    one.weight.data[:, 3] /= 60
    one.weight.data[5] *= 60
    two.weight.data[:, 5] /= 60
    x = torch.randn(9, 12)
    program = traced(forward, x, modules=(norm, one, two))
    changed, plain = quantized(program, x), quantized(program, x, equalize=False, smooth=False)
    assert set(changed.reports[-1].details["equalized"]) == {"parts.1", "parts.2"}
    assert len(changed.graph.find_nodes(op="call_function", target=aten.mul.Tensor)) == 1
    assert decibels(program, changed, x) > decibels(program, plain, x) + 6


def test_biases_take_the_mean_error() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1, bias=False))
    x = torch.rand(16, 3, 5, 5)
    program = trace(model.eval(), (x,))
    means = []
    for correct in (False, True):
        rounded = Quantize(weight_bits=3, correct_bias=correct, equalize=False)
        changed = optimize(program, [rounded], calibration=[x])
        means.append((changed.run(x) - program.run(x)).mean((0, 2, 3)).abs().max())
    assert means[1] < 1e-6 < 100 * 1e-6 < means[0]


def test_only_what_is_not_kept() -> None:
    model, x = NETWORKS["convolutions"]()
    program = trace(model.eval(), (x,))
    changed = quantized(program, x, keep=("3", "aten.hardswish"))
    reads = [
        node.args[0].target in (DEQUANTIZE,)
        for node in changed.graph.find_nodes(op="call_function", target=aten.conv2d.default)
    ]
    assert reads == [True, False, True]
    with pytest.raises(CompileError, match="no module and no operator"):
        quantized(program, x, keep=("nothing",))


def test_narrow_integers() -> None:
    model, x = NETWORKS["rows"]()
    program = trace(model.eval(), (x,))
    found = [decibels(program, quantized(program, x, weight_bits=b), x) for b in (3, 5, 8)]
    assert found == sorted(found)
    with pytest.raises(CompileError, match="activation_bits must be 2 to 8"):
        quantized(program, x, activation_bits=16)


def test_a_library_computes_the_integers() -> None:
    model, x = NETWORKS["depthwise"]()
    program = optimize(trace(model.eval(), (x,)), [Quantize()], calibration=samples(x))
    library = penjing.compile(
        model.eval(), (x,), target="host", passes=[Quantize()], calibration=samples(x)
    )
    folded = optimize(program, [FoldQuantization()])
    (result,) = library.run(x)
    torch.testing.assert_close(torch.as_tensor(result), folded.run(x), rtol=0, atol=0)


def test_refusals() -> None:
    layer = nn.Linear(4, 4)
    model = nn.Sequential(layer, nn.ReLU(), nn.Linear(4, 2)).eval()
    x = torch.ones(1, 4)
    program = trace(model, (x,))
    with pytest.raises(CompileError, match="needs calibration data"):
        optimize(program, [Quantize()])
    with pytest.raises(CompileError, match="NaN or infinity"):
        quantized(program, x * torch.nan)
    dead = traced(lambda last, x: last((x - 100).relu()), x, modules=(nn.Linear(4, 2),))
    with pytest.raises(CompileError, match=r"always 0"):
        quantized(dead, x)
    layer.weight.data[0, 0] = torch.inf
    with pytest.raises(CompileError, match="infinite or not a number"):
        quantized(trace(model, (x,)), x)


def test_progress_is_told() -> None:
    model, x = NETWORKS["residual"]()
    seen: list[tuple[str, float]] = []
    optimize(
        trace(model.eval(), (x,)),
        [Quantize(observer="mse")],
        calibration=samples(x),
        progress=lambda stage, done: seen.append((stage, done)),
    )
    stages = {stage for stage, done in seen if done == 1.0}
    assert stages == {"quantize: equalize", "quantize: observe", "quantize: correct biases"}
