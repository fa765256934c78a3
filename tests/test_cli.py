"""The command line: what it prints, what it saves, how it fails."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from penjing.compiler.batches import as_batches
from penjing.compiler.cli import main
from penjing.compiler.cli.data_source import load_calibration, load_evaluate
from penjing.compiler.cli.model_source import load_model, parse_inputs
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace

NETWORK = """
import torch
from torch import nn

class Scale(nn.Module):
    def __init__(self, factor=2.0):
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.factor = factor

    def forward(self, x):
        return self.factor * self.linear(x)

def with_inputs():
    torch.manual_seed(0)
    return Scale().eval(), (torch.ones(2, 4),)

def needs_arguments(width):
    return Scale(width)

net = Scale(3.0).eval()
"""


@pytest.fixture
def network(tmp_path: Path) -> Path:
    path = tmp_path / "network.py"
    path.write_text(NETWORK)
    return path


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a compiled model, and `network.py` beside it."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "network.py").write_text(NETWORK)
    source = f"{folder / 'network.py'}:with_inputs"
    assert main(["compile", source, "-t", "host", "-o", str(folder / "out"), "--name", "net"]) == 0
    return folder


def test_help_is_there_and_quick() -> None:
    code = (
        "import sys, penjing.__main__ as m\n"
        "try: m.main(['compile', '--help'])\n"
        "finally: assert not {'torch', 'tvm', 'rich'} & set(sys.modules), 'heavy imports'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "--target" in done.stdout
    assert "examples:" in done.stdout


@pytest.mark.parametrize("command", ["compile", "run", "profile", "inspect", "targets", "passes"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main([command, "--help"])
    assert stop.value.code == 0
    assert f"usage: penjing {command}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["fly"],
        ["compile", "x.pt2"],
        ["compile", "x", "-t", "host", "-o", "d", "--threads", "0"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "usage: penjing" in capsys.readouterr().err


def test_targets_lists_every_device(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["targets"]) == 0
    assert "arm-a72        32x128    32 KiB 1024 KiB" in capsys.readouterr().out
    assert main(["targets", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["host"]["runs_here"]
    assert rows["arm-a72"]["source"].startswith("Cortex-A72 TRM")


def test_passes_lists_every_pass_with_its_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["passes"]) == 0
    assert "fold-batch-norm (" in capsys.readouterr().out
    assert main(["passes", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all({"name", "contract", "summary", "options"} <= set(row) for row in rows)


def test_a_model_comes_from_a_file_of_python(network: Path) -> None:
    model, inputs = load_model(f"{network}:with_inputs", [])
    assert model(*inputs).shape == (2, 3)
    model, inputs = load_model(f"{network}:net", ["5x4"])
    assert (model.factor, inputs[0].shape) == (3.0, (5, 4))
    model, inputs = load_model(f"{network}:Scale", [])
    assert (model.factor, inputs) == (2.0, None)


def test_a_model_comes_from_a_module(network: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(network.parent)
    monkeypatch.delitem(sys.modules, "network", raising=False)
    model, _ = load_model("network:with_inputs", [])
    assert model.factor == 2.0


def test_a_model_comes_from_a_saved_program(tmp_path: Path) -> None:
    exported = torch.export.export(torch.nn.Linear(4, 3), (torch.ones(2, 4),))
    torch.export.save(exported, tmp_path / "net.pt2")
    model, inputs = load_model(str(tmp_path / "net.pt2"), [])
    assert isinstance(model, torch.export.ExportedProgram)
    assert inputs is None


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("network", "cannot load 'network'"),
        ("missing.pt2", "there is no file missing.pt2"),
        ("missing.py:net", "there is no file missing.py"),
        ("no_such_module:net", "there is no module no_such_module"),
        ("{network}:nothing", "network.py defines no nothing"),
        ("{network}:needs_arguments", "without arguments failed"),
        ("{broken}", "not a program that torch.export.load can read"),
    ],
)
def test_a_model_that_cannot_be_had_is_explained(network: Path, model: str, message: str) -> None:
    broken = network.with_name("broken.pt2")
    broken.write_text("no zip")
    with pytest.raises(CompileError, match=message):
        load_model(model.format(network=network, broken=broken), [])


def test_inputs_are_written_as_shapes() -> None:
    assert parse_inputs([]) is None
    image, label = parse_inputs(["1x3x8x8", "4:int64"])
    assert (image.shape, image.dtype) == ((1, 3, 8, 8), torch.float32)
    assert (label.shape, label.dtype) == ((4,), torch.int64)
    assert list(parse_inputs(["ids=1x8:int64", "mask=1x8:bool"])) == ["ids", "mask"]
    assert parse_inputs([":int32"])[0].shape == ()


@pytest.mark.parametrize("shapes", [["1xtwo"], ["3:float99"], ["3:nn"], ["a=3", "4"]])
def test_bad_shapes_are_explained(shapes: list[str]) -> None:
    with pytest.raises(CompileError):
        parse_inputs(shapes)


def test_inspect_prints_the_program(network: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", f"{network}:with_inputs"]) == 0
    assert "@linear.weight" in capsys.readouterr().out
    assert main(["inspect", f"{network}:with_inputs", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["inputs"] == {"x": "f32[2,4]"}
    assert described["weights_bytes"] == (3 * 4 + 3) * 4


def test_an_error_has_four_parts_and_exit_code_1(
    network: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["compile", f"{network}:with_inputs", "-t", "arm-a27", "-o", str(tmp_path / "out")]
    assert main(arguments) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: unknown target 'arm-a27'; did you mean 'arm-a72'?")
    assert "Traceback" not in captured.err
    assert main([*arguments, "--json"]) == 1
    error = json.loads(capsys.readouterr().out)["error"]
    assert set(error) == {"what", "at", "got", "fix"}


def test_compile_saves_and_reports(compiled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = {path.name for path in (compiled / "out").iterdir()}
    assert {"libnet.so", "net.h", "net.json"} <= names
    arguments = ["compile", f"{compiled / 'network.py'}:with_inputs", "-t", "host"]
    assert main([*arguments, "-o", str(compiled / "again"), "--json", "--progress"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["macs"] >= 2 * 3 * 4
    assert "codegen" in captured.err


def test_run_saves_or_summarizes_the_outputs(
    compiled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x, y = tmp_path / "x.npy", tmp_path / "y.npy"
    np.save(x, np.ones((2, 4), np.float32))
    assert main(["run", str(compiled / "out"), "-i", str(x), "-o", str(y)]) == 0
    model, inputs = load_model(f"{compiled / 'network.py'}:with_inputs", [])
    np.testing.assert_allclose(np.load(y), model(*inputs).detach(), rtol=1e-5, atol=1e-6)
    capsys.readouterr()
    assert main(["run", str(compiled / "out")]) == 0
    assert "f32[2,3]" in capsys.readouterr().out
    assert main(["run", str(compiled / "out"), "-i", str(x), "--json"]) == 0
    (output,) = json.loads(capsys.readouterr().out)["outputs"]
    assert output["shape"] == [2, 3]


def test_run_refuses_inputs_that_do_not_fit(
    compiled: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    x = tmp_path / "x.npy"
    np.save(x, np.ones((2, 5), np.float32))
    assert main(["run", str(compiled / "out"), "-i", str(x)]) == 1
    assert main(["run", str(compiled / "out"), "-i", str(x), "-i", str(x)]) == 1
    assert main(["run", str(compiled / "out"), "-i", str(tmp_path / "none.npy")]) == 1
    assert main(["run", str(tmp_path)]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_profile_names_the_kernels(compiled: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", str(compiled / "out")]) == 0
    assert "linear" in capsys.readouterr().out


def test_inspect_prints_the_report_of_a_folder(
    compiled: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(compiled / "out"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["arena_bytes"] >= 0


class _Relu(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.relu()


@pytest.mark.parametrize("form", ["named", "in order", "one array", "python"])
def test_calibration_data_comes_from_files_and_code(form: str, tmp_path: Path) -> None:
    samples = np.arange(40, dtype=np.float32).reshape(20, 2)
    if form == "named":
        np.savez(tmp_path / "data.npz", x=samples)
    elif form == "in order":
        np.savez(tmp_path / "data.npz", samples)
    elif form == "one array":
        np.save(tmp_path / "data.npy", samples)
    else:
        text = "import torch\ndef data():\n    return [torch.arange(40.).reshape(20, 2)]\n"
        (tmp_path / "data.py").write_text(text)
    sources = {"one array": "data.npy", "python": "data.py:data"}
    data = load_calibration(str(tmp_path / sources.get(form, "data.npz")))
    program = trace(_Relu(), (torch.zeros(1, 2),))
    batches = [batch.inputs[0] for batch in as_batches(program, data)]
    assert torch.equal(torch.cat(batches), torch.from_numpy(samples))


def test_calibration_arrays_must_agree(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros((2, 3)), y=np.zeros((3, 3)))
    with pytest.raises(CompileError, match="same number of samples"):
        load_calibration(str(tmp_path / "data.npz"))
    with pytest.raises(CompileError, match="cannot read"):
        load_calibration(str(tmp_path / "missing.npy"))


def test_evaluate_is_a_function(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text("def score(program):\n    return 0.5\nname = 'score'\n")
    evaluate = load_evaluate(f"{tmp_path / 'score.py'}:score")
    assert evaluate is not None
    assert evaluate(None) == 0.5
    with pytest.raises(CompileError, match="no function"):
        load_evaluate(f"{tmp_path / 'score.py'}:name")
    assert load_evaluate(None) is None
