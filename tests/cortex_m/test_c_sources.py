"""Models for microcontrollers as C files: their values, what they say, what they refuse."""

import ctypes
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

import penjing
from penjing.compiler.errors import CompileError

from ..quantization.networks import NETWORKS
from .host_models import check_bytes, quantized, run_here


class Residual(nn.Module):
    """One of each layer that small networks have."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, stride=2), nn.BatchNorm2d(8))
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.widen = nn.Conv2d(8, 12, 1)
        self.square = nn.Conv2d(12, 12, 3, padding=1)
        self.last = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).relu()
        x = self.widen(self.depthwise(x).relu()).relu()
        x = (self.square(x) + x).relu()
        return torch.softmax(self.last(x.mean((2, 3))), 1)


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., object]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor) -> object:
        return self.function(*inputs)


def test_an_int8_network_gives_the_bytes_of_pytorch(tmp_path: Path) -> None:
    program = quantized(Residual(), torch.randn(1, 3, 9, 10))
    for target in ("cortex-m0plus", "cortex-m4"):
        artifact = check_bytes(program, tmp_path, target=target)
    assert {spec.dtype for spec in (*program.inputs, *program.outputs)} == {"int8"}
    assert sorted(artifact.manifest.files) == ["net.c", "net.h", "net_kernels.h", "net_weights.c"]


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
def test_every_integer_operator_gives_the_bytes_of_pytorch(network: str, tmp_path: Path) -> None:
    model, x = NETWORKS[network]()
    check_bytes(quantized(model, x, passes="quantize{scope=all}"), tmp_path)


def _run(
    model: nn.Module, inputs: tuple[Tensor, ...], folder: Path, target: str = "cortex-m4"
) -> None:
    artifact = penjing.compile(model, inputs, target=target, name="net", certify=False)
    got = run_here(artifact, [tensor.numpy() for tensor in inputs], folder)
    with torch.no_grad():
        wanted = pytree.tree_leaves(model(*inputs))
    for array, tensor in zip(got, wanted, strict=True):
        np.testing.assert_allclose(array, tensor.numpy(), rtol=1e-5, atol=1e-5)


@pytest.mark.filterwarnings("ignore:the model computes with real numbers")
@pytest.mark.parametrize(
    "model",
    [
        nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
        nn.Sequential(nn.ConvTranspose2d(3, 4, 3, stride=2), nn.Upsample(scale_factor=2)),
        nn.Sequential(nn.GroupNorm(3, 3), nn.Flatten(), nn.Linear(192, 4), nn.Softmax(1)),
        Function(lambda x: (x.floor() + x.round() + x.abs().sqrt() + x.tanh(), x.sort(1)[0])),
        Function(lambda x: torch.cat([x, x.flip(2)], 1).permute(0, 2, 3, 1).reshape(1, -1)),
    ],
    ids=["cnn", "transposed", "norm", "functions", "moves"],
)
def test_real_numbers_work_too(model: nn.Module, tmp_path: Path) -> None:
    _run(model.eval(), (torch.randn(1, 3, 8, 8),), tmp_path)


@pytest.mark.filterwarnings("ignore:the model computes with real numbers")
def test_results_that_no_layer_computes_work_too(tmp_path: Path) -> None:
    model = Function(lambda x: (x, x[:0], torch.ones(3), x.permute(0, 2, 3, 1), x.flatten(1)))
    _run(model, (torch.randn(2, 3, 4, 5),), tmp_path)


@pytest.mark.parametrize("target", ["cortex-m0plus", "cortex-m4"])
def test_divisions_round_as_in_pytorch(target: str, tmp_path: Path) -> None:
    def function(a: Tensor, b: Tensor) -> tuple[Tensor, ...]:
        return torch.div(a, b, rounding_mode="trunc"), torch.fmod(a, b), a // b, a % b, a // 7

    a = torch.randint(-1_000_000, 1_000_000, (50,), dtype=torch.int32)
    b = torch.randint(1, 300, (50,), dtype=torch.int32) * torch.tensor([1, -1] * 25).int()
    _run(Function(function), (a, b), tmp_path, target=target)


@pytest.mark.filterwarnings("ignore:the model computes with real numbers")
@pytest.mark.parametrize(
    "model", [nn.LSTM(4, 3), nn.TransformerEncoderLayer(4, 2, 8, dropout=0.0, batch_first=True)]
)
def test_sequences_work_too(model: nn.Module, tmp_path: Path) -> None:
    _run(model.eval(), (torch.randn(1, 5, 4),), tmp_path)


def test_real_numbers_are_worth_a_warning() -> None:
    with pytest.warns(UserWarning, match="int8 is faster"):
        penjing.compile(nn.ReLU(), (torch.ones(3),), target="cortex-m4", certify=False)


def test_wrong_arguments_have_codes_and_nothing_is_touched(tmp_path: Path) -> None:
    program = quantized(nn.Sequential(nn.Conv2d(4, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 1)),
                        torch.randn(1, 4, 6, 6))  # fmt: skip
    artifact = penjing.compile(program, target="cortex-m4", name="net", certify=False)
    artifact.save(tmp_path)
    command = ["gcc", "-shared", "-fPIC", "-O1", "net.c", "net_weights.c", "-o", "net.so"]
    subprocess.run(command, cwd=tmp_path, check=True)
    run = ctypes.CDLL(str(tmp_path / "net.so")).net_run
    arena_bytes = artifact.manifest.sizes.arena_bytes
    assert arena_bytes > 0
    memory = np.full(4096, 7, np.uint8)
    start = -memory.ctypes.data % 8 + memory.ctypes.data
    x, y, arena = start, start + 512, start + 1024

    def call(inputs: int | None, output: int | None, arena: int | None, size: int) -> int:
        ins, outs = (ctypes.c_void_p * 1)(inputs), (ctypes.c_void_p * 1)(output)
        status: int = run(ins, outs, ctypes.c_void_p(arena), ctypes.c_size_t(size))
        return status

    cases = {
        1: (None, y, arena, arena_bytes),
        2: (x, None, arena, arena_bytes),
        3: (x, y, None, arena_bytes),
        4: (x, y, arena, arena_bytes - 1),
        5: (x, y, arena + 4, arena_bytes),
        6: (x + 4, y, arena, arena_bytes),
        7: (x, y + 4, arena, arena_bytes),
        8: (x, arena + 8, arena, arena_bytes),
    }
    for status, arguments in cases.items():
        assert call(*arguments) == status
        assert (memory == 7).all()
    assert call(x, x + 8, arena, arena_bytes) == 8
    assert call(arena, y, arena, arena_bytes) == 8
    assert call(x, y, arena, arena_bytes) == 0
    assert (memory != 7).any()


def _refused(model: nn.Module, *inputs: Tensor, **options: object) -> CompileError:
    data = [tuple(torch.randn_like(x) for x in inputs) for _ in range(2)]
    with pytest.raises(CompileError) as caught:
        penjing.compile(
            model.eval(),
            inputs,
            **{"target": "cortex-m4", "passes": "quantize", "calibration": data, **options},  # type: ignore[arg-type]
        )
    return caught.value


def test_operators_without_an_integer_form_are_refused_by_name() -> None:
    model = nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.Conv2d(4, 2, 3))
    error = _refused(model, torch.randn(1, 2, 8, 8))
    assert "real numbers" in error.what and error.at.startswith("1 (GroupNorm)")
    assert "quantize all of it" in error.fix


def test_sums_that_may_overflow_are_refused_by_name() -> None:
    model = nn.Linear(140_000, 1, bias=False)
    nn.init.ones_(model.weight)
    error = _refused(model, torch.randn(1, 140_000))
    assert "32 bits" in error.what or "overflow" in error.what


def test_dynamic_shapes_are_refused() -> None:
    rows = {0: torch.export.Dim("rows")}
    exported = torch.export.export(nn.ReLU(), (torch.ones(2, 3),), dynamic_shapes=(rows,))
    with pytest.raises(CompileError, match="dynamic"):
        penjing.compile(exported, target="cortex-m4")


@pytest.mark.filterwarnings("ignore:the model computes with real numbers")
def test_what_only_cpus_have_is_refused() -> None:
    x = torch.ones(2)
    assert "one thread" in _refused(nn.ReLU(), x, threads=2).what
    assert "weights in flash" in _refused(nn.ReLU(), x, weights="file").what
    half = _refused(nn.ReLU(), x.half(), passes="", calibration=None)
    assert "float16" in half.what


def test_models_that_do_not_fit_say_how_much_is_missing_and_where() -> None:
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 4, 3))
    x = torch.randn(1, 3, 20, 20)
    ram = _refused(model, x, target="cortex-m4,ram=2KB", certify=False)
    assert "bytes more RAM than cortex-m4 has" in ram.what and ram.at.startswith("2 (")
    flash = _refused(model, x, target="cortex-m4,flash=0.5KB", certify=False)
    assert "bytes more flash than cortex-m4 has" in flash.what
