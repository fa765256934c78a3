"""Programs as ONNX: onnxruntime computes what PyTorch computes, names stay."""

import stat
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn

import penjing
from penjing.compiler.errors import CompileError
from penjing.compiler.onnx_export import file as onnx_file
from tests.functions import Function, traced
from tests.trace_samples import SAMPLES
from tests.zoo import ZOO, make

from .exported import error_of, exported, largest_error, results_of, run_onnx

TOLERANCE = 1e-4  # of the largest element of the output, as for compiled models
SAMPLE = ("own_gru", "own_unet", "bert")


@pytest.mark.parametrize("name", SAMPLE)
def test_models(name: str) -> None:
    check_model(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(ZOO) - set(SAMPLE)))
def test_all_models(name: str) -> None:
    check_model(name)


@pytest.mark.slow
@pytest.mark.parametrize("opset", [13, 17, 18, 21, 23])
@pytest.mark.parametrize("name", ["own_se_cnn", "own_unet", "bert", "llama", "swin"])
def test_operator_sets(name: str, opset: int) -> None:
    check_model(name, opset)


def check_model(name: str, opset: int | None = None) -> None:
    model, inputs = make(name)
    program = penjing.trace(model, inputs)
    named = ((), inputs) if isinstance(inputs, dict) else (inputs, {})
    assert error_of(program, program.flatten_inputs(*named), opset) < TOLERANCE


# What ONNX has no words for, or only where sizes depend on values.
REFUSED = ("adaptive_pools", "embedding_bag", "scatter")


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(SAMPLES) - set(REFUSED)))
def test_functions_of_pytorch(name: str) -> None:
    check_function(name)


@pytest.mark.parametrize("name", ["gathers", "fourier"])
def test_a_few_functions_of_pytorch(name: str) -> None:
    check_function(name)


@pytest.mark.parametrize("name", REFUSED)
def test_functions_that_onnx_lacks(name: str) -> None:
    with pytest.raises(CompileError, match=r"cannot (be exported|export the operator)"):
        check_function(name)


def check_function(name: str) -> None:
    function, inputs, modules = SAMPLES[name]
    inputs = tuple(tensor.clone() for tensor in inputs)
    program = traced(function, *inputs, modules=modules)
    assert error_of(program, program.flatten_inputs(inputs, {})) < 1e-5


class Named(nn.Module):
    """Two inputs and two outputs with names."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU())
        self.head = nn.Linear(16, 2)

    def forward(self, image: torch.Tensor, scale: torch.Tensor) -> dict[str, torch.Tensor]:
        features = self.stem(image * scale)
        return {"logits": self.head(features.mean((2, 3))), "features": features}


def named() -> tuple[penjing.Program, list[torch.Tensor]]:
    inputs = [torch.randn(2, 3, 8, 8), torch.rand(1)]
    return penjing.trace(Named(), tuple(inputs)), inputs


def test_names_stay() -> None:
    program, inputs = named()
    model = exported(program)
    assert [value.name for value in model.graph.input] == ["image", "scale"]
    assert [value.name for value in model.graph.output] == ["logits", "features"]
    weights = {tensor.name for tensor in model.graph.initializer}
    assert {"stem.0.weight", "stem.0.bias", "head.weight", "head.bias"} <= weights
    nodes = {node.name: node.doc_string for node in model.graph.node}
    assert nodes["/stem/0/Conv"].startswith("stem.0 (Conv2d), test_export.py:")
    assert "/head/Gemm" in nodes
    assert largest_error(run_onnx(model, inputs), results_of(program, inputs)) < TOLERANCE


def test_an_output_that_is_an_input_or_there_twice() -> None:
    program = traced(lambda x: (x, x + 1, x.relu(), (x + 1).view(2, 3)), torch.randn(2, 3))
    assert len(program.output_names) == 4
    twice = program.copy()
    nodes = list(twice.output_nodes)
    twice.graph.output_node().args = ((nodes[0], nodes[1], nodes[1], nodes[0]),)
    twice.tidy()
    assert error_of(twice, [torch.randn(2, 3)]) == 0


def test_weights_that_nothing_reads_are_left_out() -> None:
    program = traced(lambda x: x.matmul(torch.eye(3))[:, :2], torch.randn(2, 3))
    model = exported(program)
    read = {name for node in model.graph.node for name in node.input}
    assert {tensor.name for tensor in model.graph.initializer} <= read


@pytest.mark.parametrize("external", [None, True])
def test_files(external: bool | None, tmp_path: Path) -> None:
    program, inputs = named()
    path = tmp_path / "model.onnx"
    program.to_onnx(path, external_data=external)
    beside = [path, path.with_name("model.onnx.data")]
    assert sorted(tmp_path.iterdir()) == (beside if external else [path])
    assert stat.S_IMODE(path.stat().st_mode) & stat.S_IRUSR
    got = run_onnx(str(path), inputs)
    assert largest_error(got, results_of(program, inputs)) < TOLERANCE


def test_large_weights_are_beside_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "MOST_EMBEDDED_BYTES", 1000)
    program = traced(lambda layer, x: layer(x), torch.randn(1, 32), modules=(nn.Linear(32, 32),))
    program.to_onnx(tmp_path / "model.onnx")
    assert (tmp_path / "model.onnx.data").stat().st_size >= 32 * 32 * 4
    assert (tmp_path / "model.onnx").stat().st_size < 32 * 32 * 4


def test_nothing_is_left_of_a_failed_export(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program, _ = named()
    path = tmp_path / "model.onnx"
    path.write_bytes(b"before")

    def invalid(*_: Any, **__: Any) -> None:
        raise onnx.checker.ValidationError("this is wrong")

    monkeypatch.setattr(onnx.checker, "check_model", invalid)
    with pytest.raises(CompileError, match="this is wrong"):
        program.to_onnx(path)
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_missing(tmp_path: Path) -> None:
    program, _ = named()
    with pytest.raises(CompileError, match="cannot write"):
        program.to_onnx(tmp_path / "missing" / "model.onnx")


@pytest.mark.parametrize("opset", [0, 12, 1000])
def test_unknown_operator_sets_are_refused(opset: int) -> None:
    program, _ = named()
    with pytest.raises(CompileError, match=f"opset={opset}"):
        program.to_onnx(opset=opset)


def test_an_operator_that_onnx_lacks_is_named() -> None:
    class Special(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = torch.special.bessel_j0(x)
            return result

    model = nn.Sequential(nn.ReLU(), Special())
    program = penjing.trace(model, (torch.randn(3),))
    with pytest.raises(CompileError) as caught:
        program.to_onnx()
    assert "special_bessel_j0" in caught.value.what
    assert caught.value.at.startswith("1 (Special)")


def test_an_operator_set_that_is_too_old_is_named() -> None:
    ids = torch.arange(6).view(2, 3)
    program = traced(lambda x: x & 5, ids)
    assert error_of(program, [ids], 18) == 0
    with pytest.raises(CompileError, match="operator set 18"):
        program.to_onnx(opset=17)


def test_a_module_is_exported_as_it_was_traced() -> None:
    model = Function(lambda drop, x: drop(x), nn.Dropout())
    program = penjing.trace(model, (torch.randn(4),))
    assert error_of(program, [torch.randn(4)]) == 0
