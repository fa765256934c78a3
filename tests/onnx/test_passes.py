"""What a PyTorch user gets, an ONNX user gets: passes see the same layers in imported models."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import penjing
from penjing.passes import FoldBatchNorm

from .graphs import model_of, node

X = torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(1))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.Conv2d(8, 12, 3),
            nn.ReLU(),
        )
        self.head = nn.Linear(12, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x: torch.Tensor = self.features(image)
        logits: torch.Tensor = self.head(x.mean((2, 3)))
        return logits


def _imported(net: nn.Module, folder: Path, *, dynamo: bool = False) -> penjing.Program:
    file = folder / "net.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if dynamo:
            exported = torch.onnx.export(net, (X,), dynamo=True, verbose=False)
            assert exported is not None
            return penjing.trace(exported.model_proto)
        torch.onnx.export(net, (X,), file, dynamo=False, input_names=["image"])
    return penjing.trace(file)


@pytest.mark.parametrize(
    "passes", ["", "prune-channels{ratio=0.5}", "quantize", "prune-channels{ratio=0.5}, quantize"]
)
def test_passes_do_the_same_to_imported_models(passes: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Net().eval()
    folded = penjing.optimize(penjing.trace(net, X), [FoldBatchNorm()])  # as exporters do
    data = [X + 0.1 * torch.randn_like(X) for _ in range(4)]
    expected = penjing.optimize(folded, passes, calibration=data)
    program = penjing.optimize(_imported(net, tmp_path), passes, calibration=data)
    assert sorted(program.weights) == sorted(expected.weights)
    for name, weight in program.weights.items():
        assert weight.shape == expected.weights[name].shape, name
    torch.testing.assert_close(program.run(X), expected.run(X), rtol=1e-4, atol=1e-5)
    artifact = penjing.compile(program, target="host")
    (result,) = artifact.run(X)
    np.testing.assert_allclose(result, program.run(X).detach(), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_both_exporters_of_pytorch_give_the_same_program(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = Net().eval()
    one, other = (_imported(net, tmp_path, dynamo=dynamo) for dynamo in (False, True))
    assert [str(n.target) for n in one.graph.nodes if n.op == "call_function"] == [
        str(n.target) for n in other.graph.nodes if n.op == "call_function"
    ]
    torch.testing.assert_close(one.run(X), other.run(X))
    torch.testing.assert_close(one.run(X), net(X), rtol=1e-4, atol=1e-5)


def test_names_without_modules_do_not_hinder_passes() -> None:
    """Files of other exporters call weights "mean" and "w", not "norm.running_mean"."""
    weights = {"w": np.ones((2, 3, 1, 1), np.float32)}
    weights |= {name: np.array([1.0, 2.0], np.float32) for name in ("s", "b", "mean", "var")}
    nodes = [
        node("Conv", "x w", "c"),
        node("Relu", "c", "r"),
        node("BatchNormalization", "r s b mean var", "n"),
        node("Relu", "n", "y"),
    ]
    model = model_of(nodes, {"x": [1, 3, 12, 12]}, ["y"], weights)
    expected = penjing.trace(model).run(X).detach()
    (result,) = penjing.compile(model, target="host").run(X)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)
