"""Quantization and pruning in either order: steps and biases follow the channels that stay."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import penjing
from penjing.compiler.coupling import analyze, shrink, zero_out
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_base import Pass
from penjing.compiler.pass_manager import optimize
from penjing.passes import (
    FoldQuantization,
    PruneChannels,
    PruneWeights,
    Quantize,
    QuantizeWeights,
    RemoveLayers,
)
from penjing.passes.quantizing.real_weights import real_weights

from .functions import Function

SHAPE = 1, 3, 8, 8


def images(count: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(SHAPE, generator=generator) for _ in range(count)]


def network() -> nn.Module:
    def forward(
        stem: nn.Module, one: nn.Module, wise: nn.Module, two: nn.Module, head: nn.Module, x: Tensor
    ) -> Any:
        x = functional.relu(stem(x))
        y = functional.relu(wise(functional.relu(one(x))))
        return head((x + two(y)).mean((2, 3)))

    torch.manual_seed(0)
    parts = (
        nn.Conv2d(3, 8, 3, padding=1),
        nn.Conv2d(8, 24, 1),
        nn.Conv2d(24, 24, 3, padding=1, groups=24),
        nn.Conv2d(24, 8, 1),
        nn.Linear(8, 5),
    )
    return Function(forward, *parts).eval()


def quantized(program: Program, *passes: Pass) -> Program:
    return optimize(program, passes or [Quantize()], calibration=images(8, 0))


def weights_now(program: Program) -> dict[str, Tensor]:
    """The real values of rounded weights, by the name of the integers."""
    found = {}
    for node in program.graph.nodes:
        if "dequantize_per_channel" in str(node.target):
            weight, scales, _, axis = (
                program.weight(each) if isinstance(each, torch.fx.Node) else each
                for each in node.args[:4]
            )
            shape = [1] * weight.dim()
            shape[axis] = -1
            found[str(node.args[0].target)] = weight.float() * scales.view(shape)
    return found


def test_rounding_again_changes_nothing() -> None:
    program = quantized(trace(network(), (torch.zeros(SHAPE),)))
    again = program.copy()
    with real_weights(again):
        assert not weights_now(again)
        assert "parts.1.weight" in again.weights
    assert len(weights_now(program)) == 5
    for x in images(3, 1):
        assert torch.equal(again.run(x), program.run(x))


@pytest.mark.parametrize("bits", [4, 8])
def test_rounding_groups_again_changes_nothing(bits: int) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 32)).eval()
    data = [torch.randn(64, 64)]
    program = optimize(trace(model, data), [QuantizeWeights(bits=bits)], calibration=data)
    again = program.copy()
    with real_weights(again):
        assert not any("int" in name for name in again.weights)
    assert torch.equal(again.run(data[0]), program.run(data[0]))


def test_channels_that_stay_keep_their_integers() -> None:
    program = quantized(trace(network(), (torch.zeros(SHAPE),)))
    pruned = program.copy()
    with real_weights(pruned):
        coupling = analyze(pruned)
        generator = np.random.default_rng(0)
        keep = {g: generator.permutation(g.size) >= g.size // 2 for g in coupling.groups}
        masked = zero_out(pruned, coupling, {g: ~mask for g, mask in keep.items()})
        assert shrink(pruned, coupling, keep)
    assert {g.name: g.size for g in keep} == {"parts.0": 8, "parts.1": 24}
    for name, weight in weights_now(pruned).items():
        old = weights_now(program)[name]
        rows = {tuple(row.tolist()) for row in old.flatten(1)}
        if weight.shape[1:] == old.shape[1:]:
            assert {tuple(row.tolist()) for row in weight.flatten(1)} <= rows
    for x in images(3, 1):
        torch.testing.assert_close(pruned.run(x), masked.run(x), rtol=0, atol=1e-5)
        assert (pruned.run(x) - program.run(x)).abs().max() > 0.01


@pytest.mark.parametrize("refit", [False, True])
def test_either_order_compiles(refit: bool) -> None:
    program = trace(network(), (torch.zeros(SHAPE),))
    prune = PruneChannels(ratio=0.25, scope="layer", round_to=1, refit=refit)
    errors = []
    for passes in ((prune,), (prune, Quantize()), (Quantize(), prune)):
        changed = quantized(program, *passes)
        assert changed.weights["parts.2.bias"].shape == (18,)
        data = images(6, 1)
        wanted = torch.cat([program.run(x) for x in data])
        got = torch.cat([changed.run(x) for x in data])
        errors.append(float((got - wanted).norm() / wanted.norm()))
        folded = optimize(changed, [FoldQuantization()])
        artifact = penjing.compile(changed, target="host")
        exact = len(passes) > 1
        wanted_now, result = folded.run(data[0]).numpy(), artifact.run(data[0])[0]
        np.testing.assert_allclose(result, wanted_now, rtol=0, atol=0 if exact else 1e-5)
        integers = {str(node.target) for node in folded.graph.nodes if "int8" in str(node.target)}
        assert bool(integers) == exact
    assert max(errors[1:]) < 2 * errors[0] + 0.03


def test_weights_of_integers_are_dropped_one_by_one() -> None:
    program = trace(network(), (torch.zeros(SHAPE),))
    changed = quantized(program, Quantize(), PruneWeights(ratio=0.5, scope="layer"))
    for name, weight in weights_now(changed).items():
        assert (weight == 0).float().mean() >= 0.45, name


def test_layers_are_removed_between_integers() -> None:
    def forward(first: nn.Module, last: nn.Module, *rest: Any) -> Any:
        *layers, x = rest
        x = first(x)
        for norm, up, down in zip(layers[::3], layers[1::3], layers[2::3], strict=True):
            x = x + down(functional.gelu(up(norm(x))))
        return last(x)

    torch.manual_seed(0)
    blocks = [
        layer
        for _ in range(3)
        for layer in (nn.LayerNorm(16), nn.Linear(16, 32), nn.Linear(32, 16))
    ]
    model = Function(forward, nn.Linear(8, 16), nn.Linear(16, 4), *blocks).eval()
    data = [torch.randn(1, 6, 8) for _ in range(8)]
    program = trace(model, (data[0],))
    for passes in (
        (Quantize(), RemoveLayers(count=1)),
        (RemoveLayers(count=1), Quantize()),
    ):
        changed = optimize(program, passes, calibration=data)
        assert len(weights_now(changed)) == 6
        assert not any(
            name.endswith("weight") and weight.dim() > 1 and weight.dtype == torch.float32
            for name, weight in changed.weights.items()
        )
        error = changed.run(data[0]) - program.run(data[0])
        assert error.norm() < program.run(data[0]).norm()


def test_programs_are_exported_and_traced_again(tmp_path: Path) -> None:
    program = quantized(trace(network(), (torch.zeros(SHAPE),)))
    (x,) = images(1, 1)
    path = tmp_path / "quantized.pt2"
    torch.export.save(torch.export.export(program.module, (x,)), path)
    loaded = torch.export.load(path)
    assert torch.equal(loaded.module()(x)[0], program.run(x))
    folded, again = (
        optimize(each, [FoldQuantization()]) for each in (program, trace(loaded, (x,)))
    )
    assert torch.equal(again.run(x)[0], folded.run(x))
    targets = [{str(n.target) for n in each.graph.nodes} for each in (folded, again)]
    assert "penjing.conv_int8.default" in targets[0] & targets[1]


def test_onnx_file_gives_the_same(tmp_path: Path) -> None:
    pytest.importorskip("onnxscript", reason="torch.onnx.export needs onnxscript")
    from onnx.reference import ReferenceEvaluator

    program = quantized(trace(network(), (torch.zeros(SHAPE),)))
    (x,) = images(1, 1)
    path = tmp_path / "quantized.onnx"
    exported = torch.export.export(program.module, (x,))
    torch.onnx.export(exported, (), path, dynamo=True, external_data=False, verbose=False)
    session = ReferenceEvaluator(str(path))
    operators = {node.op_type for node in session.proto_.graph.node}
    assert operators >= {"QuantizeLinear", "DequantizeLinear"}
    (found,) = session.run(None, {session.input_names[0]: x.numpy()})
    torch.testing.assert_close(torch.tensor(found), program.run(x), rtol=0, atol=0.05)
