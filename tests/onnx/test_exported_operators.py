"""Functions that PyTorch exports to ONNX, by both of its exporters, come back with their values."""

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import penjing

IMAGE = torch.randn(1, 4, 6, 8, generator=torch.Generator().manual_seed(0))
ROWS = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
PLACES = torch.tensor([[1, 2], [0, 0], [4, 3]])


def resized(x: Tensor) -> tuple[Tensor, ...]:
    return (
        functional.interpolate(x, scale_factor=2),
        functional.interpolate(x, size=(9, 13)),
        functional.interpolate(x, scale_factor=0.6, mode="bilinear"),
        functional.interpolate(x, size=(9, 13), mode="bilinear", align_corners=True),
        functional.interpolate(x, scale_factor=2, mode="bicubic"),
    )


def padded(x: Tensor) -> tuple[Tensor, ...]:
    modes = ("reflect", "replicate")
    edges = [functional.pad(x, (1, 2, 3, 0), mode=mode) for mode in modes]
    return *edges, functional.pad(x, (1, 2, 3, 0), value=1.5), functional.pad(x, (-1, 2, 3, -2))


def moved(x: Tensor) -> tuple[Tensor, ...]:
    return (
        x[:, 1:3, ::2, -3:],
        x[:, -1].flatten(1),
        torch.flip(torch.roll(x, (1, 2), (2, 3)), (3,)),
        functional.pixel_shuffle(x, 2),
        x.reshape(1, 2, 2, 6, 8).transpose(1, 2).reshape(1, 4, 6, 8),
        torch.cat(torch.chunk(x, 3, 2)[::-1], 1),
        functional.unfold(x, 3, padding=1),
    )


def picked(x: Tensor, places: Tensor) -> tuple[Tensor, ...]:
    return (
        torch.gather(x, 1, places),
        x[:, [2, 0]],
        x[places[:, 1] - 1, places[:, 0]],
        x.scatter(1, places[:, :1], 5.0),
        x.scatter_add(1, places[:, :1], x[:, :1]),
        x.index_put((torch.tensor([0, 2]),), x[:2]),
        functional.one_hot(places, 5),
    )


def reduced(x: Tensor) -> tuple[Tensor, ...]:
    return (
        x.var(1) + x.mean(1) + x.std(1, unbiased=False),
        functional.normalize(x, dim=1) + x.norm(p=1, dim=1, keepdim=True),
        torch.logsumexp(x, 1),
        torch.cumsum(x, 1),
        *torch.topk(x, 2),
        *torch.max(x, 1),
        (x > 0).any(1) | (x > -5).all(1),
    )


def calculated(x: Tensor) -> tuple[Tensor, ...]:
    whole = (x * 5).to(torch.int64)
    return (
        x**2 + x.abs() ** 0.5 + torch.rsqrt(x.abs() + 1),
        torch.remainder(x, 0.3) + torch.fmod(x, 0.3),
        torch.div(whole, 2, rounding_mode="floor") + whole % 3,
        x.clamp(min=0) + x.clamp(-1, 1) + torch.minimum(x, torch.tensor(0.0)),
        torch.where(x > 0, x, torch.zeros_like(x)).masked_fill(x > 1, -1e9),
        torch.round(x * 2) + torch.floor(x) + torch.sign(x) + torch.erf(x),
    )


def activated(x: Tensor) -> tuple[Tensor, ...]:
    return (
        functional.hardswish(x) + functional.hardsigmoid(x) + functional.relu6(x),
        functional.elu(x) + functional.selu(x) + functional.leaky_relu(x),
        functional.gelu(x) + functional.silu(x) + functional.softplus(x),
        functional.prelu(x, torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5])),
    )


FUNCTIONS: list[tuple[Callable[..., Any], tuple[Tensor, ...]]] = [
    (resized, (IMAGE,)),
    (padded, (IMAGE,)),
    (moved, (IMAGE,)),
    (picked, (ROWS, PLACES)),
    (reduced, (ROWS,)),
    (calculated, (ROWS,)),
    (activated, (ROWS,)),
]
each_function = pytest.mark.parametrize(
    ("function", "inputs"), FUNCTIONS, ids=[function.__name__ for function, _ in FUNCTIONS]
)


class Model(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*inputs)


@pytest.mark.parametrize("opset", [11, 17])
@each_function
def test_old_exporter(
    function: Callable[..., Any], inputs: tuple[Tensor, ...], opset: int, tmp_path: Path
) -> None:
    file = tmp_path / "model.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(Model(function), inputs, file, dynamo=False, opset_version=opset)
    check(onnx.load(file), inputs)


@pytest.mark.slow
@each_function
def test_new_exporter(function: Callable[..., Any], inputs: tuple[Tensor, ...]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exported = torch.onnx.export(Model(function), inputs, dynamo=True, verbose=False)
    assert exported is not None
    check(exported.model_proto, inputs)


def check(model: onnx.ModelProto, inputs: tuple[Tensor, ...]) -> None:
    """The program of a model gives what onnxruntime gives for the model."""
    session = onnxruntime.InferenceSession(model.SerializeToString())
    names = [value.name for value in session.get_inputs()]
    wanted = session.run(None, {n: x.numpy() for n, x in zip(names, inputs, strict=True)})
    got = penjing.trace(model, inputs).run(*inputs)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, torch.from_numpy(other), rtol=1e-4, atol=1e-5)
