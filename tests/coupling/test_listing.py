"""`penjing inspect --groups`."""

import json
from pathlib import Path

import pytest

from penjing.compiler.cli.main import main
from penjing.compiler.coupling import analyze, shrink
from penjing.compiler.coupling.cost import unit_cost
from penjing.compiler.macs import macs
from tests.coupling.test_shrink import keep, small

_NETWORK = """
import torch
from torch import nn

def make():
    torch.manual_seed(0)
    layers = nn.Conv2d(1, 4, 3, bias=False), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.LayerNorm(4)
    return nn.Sequential(*layers), (torch.zeros(1, 1, 6, 6),)
"""


@pytest.fixture
def network(tmp_path: Path) -> str:
    """A function of a Python file that makes a model."""
    (tmp_path / "network.py").write_text(_NETWORK)
    return f"{tmp_path / 'network.py'}:make"


def test_groups_as_tables(network: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", network, "--groups"]) == 0
    words = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["0", "channels", "4", "2", "44", "176"] in words
    assert ["2", "2", "it", "is", "an", "output", "of", "the", "program", "output"] in words


def test_groups_as_json(network: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", network, "--groups", "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    (group,) = described["groups"]
    assert (group["name"], group["kind"], group["size"]) == ("0", "channels", 4)
    assert group["bytes_per_unit"] == 4 * (9 + 2)
    assert group["macs_per_unit"] == 16 * (9 + 2)
    assert [member["role"] for member in group["members"]] == ["out", "in"]
    assert described["locked"] == [
        {"name": "2", "size": 2, "reason": "it is an output of the program", "at": "output"}
    ]


def test_the_cost_of_a_unit_is_what_dropping_it_saves() -> None:
    program, coupling = small()
    cost = unit_cost(coupling, coupling.groups[0])

    def total() -> tuple[int, int]:
        weights = sum(weight.nbytes for weight in program.weights.values())
        return weights, sum(macs(node) for node in program.graph.nodes)

    before = total()
    shrink(program, coupling, {coupling.groups[0]: keep(0, 1, 3)})
    after = total()
    assert (cost.bytes, cost.macs) == (before[0] - after[0], before[1] - after[1])
    assert len(analyze(program).groups) == 1
