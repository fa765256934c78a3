"""QuantizeWeights: storage in 8 and 4 bits, rounding to the nearest and in order."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import penjing
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_effects import relative_error
from penjing.compiler.pass_manager import optimize
from penjing.compiler.quantization.packed_weights import pack_int4, unpack_int4
from penjing.passes import QuantizeWeights
from penjing.passes.quantizing.group_rounding import round_groups

from .functions import traced

GROUPS = torch.ops.penjing.dequantize_groups.default


def correlated(rows: int, features: int, seed: int = 0) -> Tensor:
    """Inputs that depend on each other, as activations do."""
    mixed = torch.randn(features // 4, features, generator=torch.Generator().manual_seed(99))
    generator = torch.Generator().manual_seed(seed)
    signal = torch.randn(rows, features // 4, generator=generator) @ mixed
    return signal + 0.1 * torch.randn(rows, features, generator=generator)


def network() -> tuple[nn.Module, Tensor]:
    torch.manual_seed(0)
    layers = nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, 32), nn.Tanh(), nn.Linear(32, 40)
    return nn.Sequential(*layers).eval(), correlated(400, 64)


def rounded(model: nn.Module, x: Tensor, **options: Any) -> tuple[Program, Program]:
    program = trace(model, (x[:1],))
    return program, optimize(program, [QuantizeWeights(**options)], calibration=[x])


def error(model: nn.Module, x: Tensor, **options: Any) -> float:
    """Of the outputs on other inputs than those that were calibrated with."""
    program, changed = rounded(model, x, **options)
    others = correlated(200, 64, seed=1).split(1)
    pairs = [([changed.run(row)], [program.run(row)]) for row in others]
    return relative_error([pair[0] for pair in pairs], [pair[1] for pair in pairs])


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 9), st.integers(0, 99))
def test_two_integers_in_a_byte(rows: int, half: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    integers = torch.randint(-8, 8, (rows, 2 * half), generator=generator, dtype=torch.int8)
    packed = pack_int4(integers)
    assert packed.shape == (rows, half)
    assert torch.equal(unpack_int4(packed), integers)


def test_what_is_stored() -> None:
    weight = torch.tensor([[-0.8, 0.7, 0.1, 0, 0, 0, 0, 0], [0.8, -0.7, 0.3, 0.2, 0, 0, 0, 0]])
    layer = nn.Linear(8, 2, bias=False)
    layer.weight.data = weight
    model = nn.Sequential(layer).eval()
    x = torch.ones(1, 8)
    _, changed = rounded(model, x, bits=4, group=8, method="nearest", least_elements=1)
    scales = changed.weights["0.weight_scales"]
    assert scales.dtype == torch.float16
    assert scales.flatten().tolist() == pytest.approx([0.1, -0.1], rel=1e-3)
    integers = unpack_int4(changed.weights["0.weight_int4"])
    assert integers[:, :4].tolist() == [[-8, 7, 1, 0], [-8, 7, -3, -2]]
    assert not integers[:, 4:].any()
    assert changed.run(x).flatten().tolist() == pytest.approx([0.0, 0.6], abs=1e-3)


@pytest.mark.parametrize("bits", [4, 8])
def test_rounding_in_order_loses_less(bits: int) -> None:
    model, x = network()
    nearest = error(model, x, bits=bits, method="nearest")
    assert error(model, x, bits=bits, method="gptq") < 0.7 * nearest
    assert nearest < (0.2 if bits == 4 else 0.02)
    assert error(model, x, bits=bits) == error(model, x, bits=bits, method="gptq")


def test_smaller_groups_lose_less() -> None:
    model, x = network()
    found = [error(model, x, bits=4, group=group) for group in (8, 16, 32)]
    assert found == sorted(found)


def test_rounding_in_order_is_least_squares() -> None:
    weight, x = torch.randn(6, 32, generator=torch.Generator().manual_seed(3)), correlated(500, 32)
    moments = (x.t() @ x).double()

    def squares(moments_known: Tensor | None) -> float:
        found = round_groups(weight, 4, 16, moments_known)
        reals = GROUPS(found.integers, found.scales)
        return float(((reals - weight) @ x.t()).square().sum())

    assert squares(moments) < 0.35 * squares(None)
    without = moments.clone()
    without[5] = without[:, 5] = 0  # an input that never occurs
    assert torch.isfinite(round_groups(weight, 4, 16, without).scales).all()


def test_small_steps_are_float32() -> None:
    weight = torch.full((2, 4), 1e-6)
    assert round_groups(weight, 4, 4, None).scales.dtype == torch.float32
    assert round_groups(weight * 1e5, 4, 4, None).scales.dtype == torch.float16


def test_embeddings_get_8_bits() -> None:
    torch.manual_seed(0)
    indices = torch.randint(0, 50, (1, 9))
    program = traced(lambda table, i: table(i) * 2, indices, modules=(nn.Embedding(50, 24),))
    changed = optimize(program, [QuantizeWeights(bits=4)])
    assert [w.dtype for w in changed.weights.values() if w.numel() > 99] == [torch.int8]
    assert relative_error([[changed.run(indices)]], [[program.run(indices)]]) < 0.02


CONVOLUTIONS = {
    "rows": (nn.Conv1d(12, 16, 3, stride=2, padding=1), (12, 17)),
    "images": (nn.Conv2d(6, 24, (3, 2), (2, 1), (1, 0), dilation=(1, 2)), (6, 9, 8)),
    "points": (nn.Conv2d(40, 32, 1), (40, 5, 4)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_windows_are_rounded_in_order(name: str) -> None:
    layer, shape = CONVOLUTIONS[name]
    torch.manual_seed(0)
    layer.reset_parameters()
    x = torch.randn(40, *shape).cumsum(1)
    model = nn.Sequential(layer).eval()
    found = []
    for method in ("nearest", "gptq"):
        program, changed = rounded(model, x, bits=4, method=method, least_elements=9)
        assert changed.reports[-1].details["in groups"] == 1
        pairs = [([changed.run(row)], [program.run(row)]) for row in x.split(1)]
        found.append(relative_error([pair[0] for pair in pairs], [pair[1] for pair in pairs]))
    assert found[1] < 0.8 * found[0] < 0.1


def test_sizes_of_channels_do_not_matter() -> None:
    torch.manual_seed(0)
    inside, outside = nn.Conv2d(8, 32, 3), nn.Conv2d(32, 8, 3)
    factors = 2 ** torch.linspace(-6, 6, 32)[torch.randperm(32)]
    inside.weight.data *= factors.view(-1, 1, 1, 1)
    assert inside.bias is not None
    inside.bias.data *= factors
    outside.weight.data /= factors.view(-1, 1, 1)
    x = torch.randn(16, 8, 7, 7)
    found = []
    for equalize in (False, True):
        model = nn.Sequential(inside, nn.ReLU(), outside).eval()
        program, changed = rounded(model, x, bits=4, equalize=equalize, method="nearest")
        found.append(relative_error([[changed.run(x[:1])]], [[program.run(x[:1])]]))
    assert found[1] < 0.1 < 4 * 0.1 < found[0]


def test_libraries_are_small() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(256, 512), nn.ReLU(), nn.Linear(512, 256)).eval()
    x = torch.randn(3, 256)
    sizes = {}
    for bits in (4, 8):
        chosen = QuantizeWeights(bits=bits)
        artifact = penjing.compile(model, (x,), target="host", passes=[chosen])
        program = optimize(trace(model, (x,)), [chosen])
        (result,) = artifact.run(x)
        torch.testing.assert_close(torch.as_tensor(result), program.run(x), rtol=0, atol=1e-5)
        sizes[bits] = artifact.report.weights_bytes
    parameters = 2 * 256 * 512
    assert parameters / 2 < sizes[4] < 0.6 * parameters
    assert parameters < sizes[8] < 1.1 * parameters


def test_programs_are_saved(tmp_path: Any) -> None:
    model, x = network()
    _, changed = rounded(model, x, bits=4)
    changed.save(tmp_path / "program")
    loaded = Program.load(tmp_path / "program")
    assert torch.equal(loaded.run(x[:1]), changed.run(x[:1]))


def test_refusals_and_skips() -> None:
    model, x = network()
    program = trace(model, (x[:1],))
    with pytest.raises(CompileError, match="bits must be 4 or 8"):
        optimize(program, [QuantizeWeights(bits=3)])
    with pytest.raises(CompileError, match="group must be even, and 8"):
        optimize(program, [QuantizeWeights(group=7)])
    with pytest.raises(CompileError, match="method=gptq needs calibration data"):
        optimize(program, [QuantizeWeights(method="gptq")])
    odd = nn.Sequential(nn.Linear(45, 40), nn.Linear(40, 64), nn.Linear(64, 64)).eval()
    chosen = QuantizeWeights(bits=4, keep=("2",))
    changed = optimize(trace(odd, (torch.zeros(1, 45),)), [chosen])
    groups = changed.graph.find_nodes(op="call_function", target=GROUPS)
    assert [changed.weight(node.args[1]).shape for node in groups] == [(64, 2)]  # 40 = 2 * 20
    reasons = [skip.reason for skip in changed.reports[-1].skips]
    assert reasons == ["no group up to 32 divides 45 inputs evenly"]
    next(model.parameters()).data[0, 0] = torch.nan
    with pytest.raises(CompileError, match="infinite or not a number"):
        optimize(trace(model, (x[:1],)), [QuantizeWeights()])
