"""`penjing compile` and `penjing inspect` on ONNX files."""

import json
from pathlib import Path

import onnx
import pytest

from penjing.compiler.cli.main import main

from .graphs import model_of, node


@pytest.fixture
def model(tmp_path: Path) -> str:
    path = tmp_path / "model.onnx"
    nodes = [node("Add", "x z", "sum", name="join"), node("Relu", "sum", "y", name="cut")]
    onnx.save(model_of(nodes, {"x": ["batch", 3], "z": [3]}, ["y"]), path)
    return str(path)


def test_a_file_is_inspected(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", model, "--shape", "batch=2", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["inputs"] == {"x": "f32[2,3]", "z": "f32[3]"}
    assert described["outputs"] == {"y": "f32[2,3]"}


@pytest.mark.parametrize("sizes", [["x=2x3"], ["x=2x3", "z=3"]])
def test_a_file_is_compiled(model: str, sizes: list[str], tmp_path: Path) -> None:
    options = [word for size in sizes for word in ("--shape", size)]
    assert main(["compile", model, *options, "-t", "host", "-o", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "model.h").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "--shape 'batch=1'"),
        (["--shape", "batch"], "cannot read a shape"),
        (["--shape", "batch=-1"], "cannot read a shape"),
        (["--shape", "height=3"], "no input 'height'"),
        (["--shape", "x=2x4"], "a shape is not one that the model declares"),
    ],
)
def test_what_cannot_be_read_is_explained(
    model: str, options: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", model, *options]) == 1
    assert message in capsys.readouterr().err


def test_shapes_are_for_onnx_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path / "net.pt2"), "--shape", "batch=1"]) == 1
    assert "--shape is for ONNX models" in capsys.readouterr().err
    assert main(["inspect", str(tmp_path / "none.onnx")]) == 1
    assert "there is no file" in capsys.readouterr().err
