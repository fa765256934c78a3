"""`penjing convert`."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import penjing
from penjing.compiler.cli.main import main

from .exported import largest_error, results_of, run_onnx


@pytest.fixture
def model(tmp_path: Path) -> str:
    """An ONNX file with an open batch size."""
    net = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3), nn.Flatten())
    proto = penjing.trace(net, (torch.zeros(1, 3, 8, 8),)).to_onnx()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    for node in proto.graph.node:
        if node.op_type == "Reshape":
            node.op_type, node.input[:] = "Flatten", node.input[:1]
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    path = tmp_path / "model.onnx"
    onnx.save(proto, path)
    return str(path)


def test_passes_run_and_the_result_is_written(model: str, tmp_path: Path) -> None:
    images = tmp_path / "images.npz"
    x = torch.randn(4, 3, 8, 8)
    np.savez(images, x.numpy())
    output = tmp_path / "small.onnx"
    passes = "prune-channels{macs=0.6}, quantize"
    command = ["convert", model, str(output), "--shape", "batch=1", "--passes", passes]
    assert main([*command, "--calibration", str(images)]) == 0
    written = onnx.load(output)
    assert "QuantizeLinear" in {node.op_type for node in written.graph.node}
    program = penjing.trace(output)
    error = largest_error(run_onnx(str(output), [x[:1]]), results_of(program, [x[:1]]))
    assert error < 1e-2  # a step of the result
    assert written.ByteSize() < onnx.load(model).ByteSize()


def test_programs_and_options(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "net.penjing"
    assert main(["convert", model, str(program), "--shape", "batch=2", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["bytes"] == program.stat().st_size
    again = tmp_path / "again.onnx"
    assert main(["convert", str(program), str(again), "--opset", "17", "--external-data"]) == 0
    assert onnx.load(again, load_external_data=False).opset_import[0].version == 17
    assert (tmp_path / "again.onnx.data").exists()


def test_what_cannot_be_written_is_explained(
    model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["convert", model, str(tmp_path / "net.tflite"), "--shape", "batch=1"]) == 1
    assert "must end in .onnx or .penjing" in capsys.readouterr().err
