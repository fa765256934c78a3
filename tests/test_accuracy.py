"""Comparing programs, finding the pass that loses, counting what saturates."""

import json
import math
import runpy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import penjing
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.ir.verify import verify
from penjing.compiler.pass_manager import optimize
from penjing.passes import FoldBatchNorm, FoldQuantization, Quantize, QuantizeWeights

from .functions import traced
from .quantization.networks import NETWORKS


class Small(nn.Module):
    """Two convolutions with batch norms, and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(2, 6, 3, bias=False), nn.BatchNorm2d(6)
        self.conv2, self.bn2 = nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.relu, self.head = nn.ReLU(), nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = x + self.relu(self.bn2(self.conv2(x)))
        result: Tensor = self.head(x.mean((2, 3)))
        return result


@pytest.fixture
def program() -> Program:
    return trace(Small().eval(), (torch.zeros(1, 2, 7, 7),))


def data(count: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(4, 2, 7, 7, generator=generator) for _ in range(count)]


def test_a_program_equals_itself(program: Program) -> None:
    comparison = penjing.compare(program, program.copy(), data())
    assert comparison.sqnr == math.inf
    names = [row.name for row in comparison.rows]
    assert names == ["conv1", "bn1", "conv2", "bn2", "relu", "", "head"]
    assert {row.max_error for row in comparison.rows} == {0.0}
    words = str(comparison).splitlines()[1].split()
    assert words == ["conv1", "aten.conv2d.default", "equal", "0", "1.000000"]
    assert comparison.to_json()["outputs"][0]["sqnr"] is None


def test_figures_are_those_of_the_values() -> None:
    first = traced(lambda x: x * 2 + 1, torch.zeros(2))
    second = traced(lambda x: x * 2 + 1.5, torch.zeros(2))
    comparison = penjing.compare(first, second, [torch.tensor([1.0, -1.0])], every="value")
    (product, total), (output,) = comparison.rows, comparison.outputs
    assert product.sqnr == math.inf
    # wanted 3, -1; got 3.5, -0.5
    assert total.sqnr == output.sqnr == pytest.approx(10 * math.log10(10 / 0.5))
    assert total.max_error == 0.5
    assert total.cosine == pytest.approx(11 / math.sqrt(10 * 12.5))


def test_a_folded_batch_norm_is_compared_with_what_it_became(program: Program) -> None:
    folded = optimize(program, [FoldBatchNorm()])
    comparison = penjing.compare(program, folded, data())
    assert [row.name for row in comparison.rows] == ["bn1", "bn2", "relu", "", "head"]
    assert min(row.sqnr for row in comparison.rows) > 100


def test_rounded_values_are_compared_after_rounding(program: Program) -> None:
    changed = optimize(program, [Quantize(equalize=False)], calibration=data())
    comparison = penjing.compare(program, changed, data())
    assert [row.name for row in comparison.rows] == ["bn1", "bn2", "relu", "", "head"]
    assert all(15 < row.sqnr < 60 for row in comparison.rows)
    assert comparison.worst(1)[0].sqnr == min(row.sqnr for row in comparison.rows)


@pytest.mark.parametrize("name", ["convolutions", "residual"])
def test_integer_programs_are_compared_where_values_are_real(name: str) -> None:
    model, x = NETWORKS[name]()
    program = trace(model.eval(), (x,))
    changed = optimize(program, [Quantize(), FoldQuantization()], calibration=[x])
    assert 15 < penjing.compare(program, changed, [x]).sqnr < 60


def test_programs_must_be_alike(program: Program) -> None:
    other = traced(lambda x: x + 1, torch.zeros(2))
    with pytest.raises(CompileError, match="different inputs"):
        penjing.compare(program, other, data())
    with pytest.raises(CompileError, match="every must be"):
        penjing.compare(program, program, data(), every="layer")  # type: ignore[arg-type]


def test_a_comparison_is_drawn(program: Program, tmp_path: Path) -> None:
    changed = optimize(program, [QuantizeWeights(least_elements=1)])
    comparison = penjing.compare(program, changed, data())
    comparison.plot(tmp_path / "decibels.svg")
    assert "<!-- bn1 -->" in (tmp_path / "decibels.svg").read_text()
    comparison.plot(tmp_path / "decibels.png")
    assert (tmp_path / "decibels.png").read_bytes().startswith(b"\x89PNG")


def test_the_pass_that_loses_is_found(
    program: Program, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [FoldBatchNorm(), Quantize(correct_bias=False), QuantizeWeights(least_elements=1)]
    found = penjing.bisect(program, steps, data(), least_sqnr=60, directory=tmp_path)
    assert (found.number, found.name, found.region) == (2, "quantize", "conv1")
    assert found.comparison is not None
    assert "pass 2, quantize at conv1" in str(found)
    before, after = (Program.load(tmp_path / f"{side}.penjing") for side in ("before", "after"))
    verify(before)
    verify(after)
    inputs = torch.load(tmp_path / "inputs.pt")
    alone = penjing.compare(before, after, [tuple(inputs)])
    assert alone.sqnr < 60
    runpy.run_path(str(tmp_path / "reproduce.py"))
    printed = capsys.readouterr().out
    assert "conv2d" in printed
    assert "output" in printed


def test_a_reproduction_holds_what_lies_between_common_values(
    program: Program, tmp_path: Path
) -> None:
    class Spoil(FoldBatchNorm):
        """A pass with a mistake in one layer."""

        name = "spoil-head"

        def run(self, program: Program) -> int:
            (weight,) = program.graph.find_nodes(op="get_attr", target="head.weight")
            program.replace_weight(weight, program.weight(weight).detach() * 1.5)
            return 1

    found = penjing.bisect(program, [Spoil()], data(), least_sqnr=40, directory=tmp_path)
    assert (found.name, found.region) == ("spoil-head", "head")
    after = Program.load(tmp_path / "after.penjing")
    calls = [str(node.target) for node in after.graph.nodes if node.op == "call_function"]
    assert calls == ["aten.linear.default"]
    assert after.inputs[0].shape == (1, 6)


def test_nothing_is_found_where_nothing_is_lost(program: Program, tmp_path: Path) -> None:
    found = penjing.bisect(
        program, "fold-batch-norm", data(), least_sqnr=60, directory=tmp_path / "none"
    )
    assert (found.number, found.name, found.region) == (0, "", "")
    assert not (tmp_path / "none").exists()
    assert "no pass loses more" in str(found)


def test_ends_of_ranges_are_counted() -> None:
    program = trace(nn.Linear(4, 2).eval(), (torch.zeros(1, 4),))
    calibration = [torch.tensor([[0.0, 1.0, -1.0, 0.5]])]
    changed = optimize(program, [Quantize()], calibration=calibration)
    counts = penjing.saturation(changed, [torch.tensor([[5.0, 9.0, -9.0, 0.5]])])
    (row,) = counts.rows
    assert (row.low, row.high, row.elements, row.at_low, row.at_high) == (-128, 127, 4, 1, 2)
    assert "50.000" in str(counts)
    assert json.loads(json.dumps(counts.to_json()))[0]["at_high"] == 2


def test_ends_are_counted_in_integer_programs(program: Program) -> None:
    changed = optimize(program, [Quantize(), FoldQuantization()], calibration=data())
    rows = penjing.saturation(changed, data()).rows
    assert {row.low for row in rows} <= {-128} | set(range(-128, 128))
    assert all(0 <= row.at_low + row.at_high <= row.elements for row in rows)
    assert any(row.at_high for row in rows)  # the largest value of the calibration data itself
