"""`penjing compare` and `penjing bisect`."""

import json
from pathlib import Path

import numpy as np
import pytest

from penjing.compiler.cli import main

NETWORK = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))
    return model.eval(), (torch.zeros(1, 6),)
"""
WEIGHTS = "quantize-weights{least_elements=1}"


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """A model and its data on the command line."""
    (tmp_path / "network.py").write_text(NETWORK)
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(20, 6)).astype("float32"))
    return f"{tmp_path / 'network.py'}:net", str(tmp_path / "x.npy")


def test_compare(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = files
    plot = tmp_path / "plot.svg"
    command = ["compare", model, "--data", data, "--passes", WEIGHTS, "--plot", str(plot)]
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["value", "0", "1", "2", "output"]
    assert plot.exists()
    assert main([*command, "--json"]) == 0
    outputs = json.loads(capsys.readouterr().out)["outputs"]
    assert outputs[0]["sqnr"] == pytest.approx(float(lines[-1].split()[2]), abs=0.06)


def test_bisect_and_its_files(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, data = files
    command = ["bisect", model, "--data", data, "--passes", f"fold-batch-norm, {WEIGHTS}"]
    command += ["--least-sqnr", "90", "-o", str(tmp_path / "found")]
    assert main(command) == 0
    assert "pass 2, quantize-weights at 0" in capsys.readouterr().out
    assert main([*command, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["number"] == 2
    both = [str(tmp_path / "found" / f"{side}.penjing") for side in ("before", "after")]
    assert main(["compare", *both, "--data", data]) == 0
    assert "output_0" in capsys.readouterr().out


def test_wrong_usage(files: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    model, data = files
    assert main(["compare", model, "--data", data]) == 1
    assert "either --passes or another model" in capsys.readouterr().err
    assert main(["compare", "none.penjing", model, "--data", data]) == 1
    assert "no file" in capsys.readouterr().err
