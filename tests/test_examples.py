"""Every example runs, as its user would run it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .opencl.device import find_device

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(folder: Path, script: str, *arguments: str) -> str:
    """What an example prints when it runs in a folder of its own."""
    command = [sys.executable, str(EXAMPLES / script), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_every_example_is_short() -> None:
    scripts = list(EXAMPLES.rglob("*.py"))
    assert len(scripts) >= 5
    assert all(len(script.read_text().splitlines()) <= 60 for script in scripts)


def test_quickstart(tmp_path: Path) -> None:
    printed = run(tmp_path, "quickstart.py")
    difference = re.search(r"largest difference: (\S+)", printed)
    assert difference is not None
    assert float(difference[1]) < 1e-5
    assert (tmp_path / "build" / "quickstart" / "libmodel.so").exists()


def test_digits(tmp_path: Path) -> None:
    printed = run(tmp_path, "digits.py")
    accuracies = re.findall(r"accuracy (\S+?),? ", printed)
    assert len(accuracies) == 2
    assert accuracies[0] == accuracies[1]
    assert float(accuracies[0]) > 0.95
    assert ", 0 differ" in printed


@pytest.mark.slow
def test_gpu_mobilenet(tmp_path: Path) -> None:
    if find_device() is None:
        pytest.skip("needs an OpenCL device (pocl-opencl-icd)")
    printed = run(tmp_path, "gpu_mobilenet.py", "32")
    error = re.search(r"error: (\S+)", printed)
    assert error is not None
    assert float(error[1]) < 1e-5
    assert (tmp_path / "build" / "mobilenet" / "libmobilenet.so").exists()


@pytest.mark.slow
def test_compress_digits(tmp_path: Path) -> None:
    printed = run(tmp_path, "compress_digits.py")
    before, after = (float(text) for text in re.findall(r"accuracy (\S+) on", printed))
    assert before > 0.98
    assert after > before - 0.02
    work = re.findall(r"work +(\S+) ([kM]) multiply", printed)
    whole, smaller = (float(number) * {"k": 1e3, "M": 1e6}[unit] for number, unit in work)
    assert smaller / whole == pytest.approx(0.2, abs=0.02)


@pytest.mark.slow
def test_quantize_digits(tmp_path: Path) -> None:
    printed = run(tmp_path, "quantize_digits.py")
    accuracies = [float(text) for text in re.findall(r"accuracy (\S+),", printed)]
    sizes = [int(text) for text in re.findall(r"(\d+) bytes", printed)]
    assert accuracies[0] > 0.98
    assert min(accuracies) > accuracies[0] - 0.006
    assert sizes[0] > 3.5 * sizes[1] > 5 * sizes[2]


@pytest.mark.slow
def test_train_quantized_digits(tmp_path: Path) -> None:
    printed = run(tmp_path, "train_quantized_digits.py")
    real, after, within = (float(text) for text in re.findall(r"accuracy (\S+)", printed))
    assert real > 0.97
    assert after < real - 0.02
    assert within > real - 0.01


@pytest.mark.slow
def test_quantize_minilm(tmp_path: Path) -> None:
    printed = run(tmp_path, "quantize_minilm.py", "--quick")
    cosines = [float(text) for text in re.findall(r"cosine (\S+),", printed)]
    sizes = [float(text) for text in re.findall(r"library (\S+) MB", printed)]
    assert len(cosines) == 3
    assert min(cosines) > 0.95
    assert max(sizes) < 25
    assert sizes[2] < sizes[1]


def test_onnx_surgery(tmp_path: Path) -> None:
    printed = run(tmp_path, "onnx_surgery.py")
    assert printed == "2 activations swapped, 6 nodes left\n32 features\nlength 1.0000\n"


def test_custom_pass(tmp_path: Path) -> None:
    printed = run(tmp_path, "custom_pass.py")
    exact, approximate = (float(text) for text in re.findall(r"largest error (\S+)", printed))
    assert exact < 1e-5 < approximate < 0.1
    assert "aten.sigmoid" in printed
    assert "aten.gelu" not in printed


def test_custom_op(tmp_path: Path) -> None:
    printed = run(tmp_path, "custom_op.py")
    difference = re.search(r"largest difference: (\S+)", printed)
    assert difference is not None
    assert float(difference[1]) < 1e-5


def embed_in_c(folder: Path, *variables: str) -> None:
    """Copy the C example, `make run` it, compare what the two languages print."""
    work = folder / "embed_in_c"
    shutil.copytree(EXAMPLES / "embed_in_c", work, ignore=shutil.ignore_patterns("build"))
    command = ["make", "--silent", "run", f"PYTHON={sys.executable}", *variables]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    values = dict(line.split(": ") for line in done.stdout.splitlines() if ": " in line)
    assert values["C"] == values["PyTorch"]


def test_embed_in_c(tmp_path: Path) -> None:
    embed_in_c(tmp_path)


@pytest.mark.qemu
def test_embed_in_c_on_arm(tmp_path: Path) -> None:
    for tool in ("aarch64-linux-gnu-gcc", "qemu-aarch64"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    embed_in_c(tmp_path, "TARGET=arm-a72", "CC=aarch64-linux-gnu-gcc", "RUN=qemu-aarch64")


@pytest.mark.slow
@pytest.mark.qemu
def test_minilm(tmp_path: Path) -> None:
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("qemu-aarch64 is not installed")
    printed = run(tmp_path, "minilm.py", "--length", "16")
    pairs = re.findall(r"sentences \d and \d +(\S+) +(\S+)", printed)
    assert len(pairs) == 3
    assert all(compiled == reference for compiled, reference in pairs)
    assert "instructions" in printed


@pytest.mark.slow
@pytest.mark.qemu
def test_compress_minilm(tmp_path: Path) -> None:
    if shutil.which("qemu-aarch64") is None:
        pytest.skip("qemu-aarch64 is not installed")
    printed = run(tmp_path, "compress_minilm.py", "--quick")
    counts = re.findall(r"([\d,]+) instructions per", printed)
    before, after = (int(text.replace(",", "")) for text in counts)
    assert after < 0.55 * before
    work = [float(text) for text in re.findall(r"work +(\S+) M mult", printed)]
    assert after / before == pytest.approx(work[1] / work[0], rel=0.1)
    correlation = re.search(r"similarities: (\S+)", printed)
    assert correlation is not None
    assert float(correlation[1]) > 0.6
