"""The drawing of layers before and after lossy passes."""

from pathlib import Path

import pytest

from penjing.compiler.errors import CompileError
from penjing.compiler.plot import plot_layers
from penjing.compiler.report import Report

BEFORE = {"conv": {"macs": 100, "parameters": 9}, "head": {"macs": 50, "parameters": 50}}
AFTER = {"conv": {"macs": 60, "parameters": 5}}


def _state(layers: dict[str, dict[str, int]], error: float) -> dict[str, object]:
    total = {key: sum(layer[key] for layer in layers.values()) for key in ("macs", "parameters")}
    size = 4 * total["parameters"]
    return {"layers": layers, "error": error, "quality": None, "weight_bytes": size, **total}


def _report(*passes: dict[str, object]) -> Report:
    return Report(
        name="net",
        target="host",
        passes=passes,
        kernels=(),
        library_bytes=0,
        code_bytes=0,
        weights_bytes=0,
        arena_bytes=0,
        arena_lower_bound_bytes=0,
        macs=0,
    )


def test_every_layer_is_drawn(tmp_path: Path) -> None:
    plot_layers(BEFORE, AFTER, tmp_path / "layers.svg")
    text = (tmp_path / "layers.svg").read_text()
    for word in ("conv", "head", "before", "after", "parameters"):
        assert f"<!-- {word} -->" in text
    plot_layers(BEFORE, AFTER, tmp_path / "layers.png")
    assert (tmp_path / "layers.png").read_bytes().startswith(b"\x89PNG")


def test_the_report_shows_and_draws_lossy_passes(tmp_path: Path) -> None:
    row = {"name": "prune", "rewrites": 3, "skips": []}
    report = _report({**row, "before": _state(BEFORE, 0.0), "after": _state(AFTER, 0.01)})
    report.plot_layers(tmp_path / "layers.svg")
    assert (tmp_path / "layers.svg").exists()
    (line,) = [line for line in str(report).splitlines() if "59 -> 5" in line]
    assert line.split()[0] == "prune"
    assert "150 -> 60" in line
    assert "0.01" in line


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="no pass changed"):
        _report().plot_layers(tmp_path / "layers.svg")
    with pytest.raises(CompileError, match="cannot draw"):
        plot_layers(BEFORE, AFTER, tmp_path / "layers.txt")
