"""MixPrecision: sensitivities, the search, and the budgets that it keeps."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from penjing.compiler.batched_run import run_batched
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize
from penjing.passes import MixPrecision
from penjing.passes.mixing.search import (
    Option,
    cost_after,
    formats_after,
    most_that,
    order_moves,
)

FORMATS = ("int8", "int8-weights", "int4-weights")


@pytest.fixture(scope="module")
def program() -> Program:
    """Three layers; the weights of the middle one have a few that are much larger."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32)
    )
    first, _, middle, *_ = model
    assert isinstance(first, nn.Linear) and isinstance(middle, nn.Linear)
    middle.weight.data[:, ::16] *= 40.0
    first.weight.data[::16] /= 40.0
    return trace(model.eval(), (torch.zeros(1, 32),))


@pytest.fixture(scope="module")
def data() -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(16, 32, generator=generator) for _ in range(4)]


def mixed(program: Program, data: list[Tensor], **options: Any) -> Program:
    evaluate = options.pop("evaluate", None)
    return optimize(program, [MixPrecision(**options)], calibration=data, evaluate=evaluate)


def decibels(program: Program, changed: Program, data: list[Tensor]) -> float:
    wanted, got = (
        torch.cat([run_batched(each, (x,)).outputs[0].detach() for x in data])
        for each in (program, changed)
    )
    return float(10 * torch.log10(wanted.square().sum() / (got - wanted).square().sum()))


def test_signal_to_noise_is_kept(program: Program, data: list[Tensor]) -> None:
    changed = mixed(program, data, least_sqnr=32.0)
    assert decibels(program, changed, data) >= 32.0
    details = changed.reports[-1].details
    formats = {path: layer["format"] for path, layer in details["layers"].items()}
    assert set(formats) == {"0", "2", "4"}
    assert formats["2"] != "int4-weights"  # the sensitive one
    assert changed.reports[-1].rewrites == sum(name != "float" for name in formats.values()) > 0
    assert details["sqnr"] == pytest.approx(decibels(program, changed, data), abs=0.1)
    assert json.dumps(changed.reports[-1].as_dict())
    known = details["layers"]["2"]["sensitivity"]
    assert known["int8-weights"]["sqnr"] > known["int4-weights"]["sqnr"]
    assert known["int8-weights"]["kl"] < known["int4-weights"]["kl"]
    assert known["int4-weights"]["bytes"] < known["int8-weights"]["bytes"] < 0


def test_a_size_is_met_with_the_least_loss(program: Program, data: list[Tensor]) -> None:
    whole = sum(weight.nbytes for weight in program.weights.values())
    formats = ("int8-weights", "int4-weights")
    changed = mixed(program, data, most_bytes=int(whole / 4.2), formats=formats)
    size = sum(w.nbytes for w in changed.weights.values() if w.dtype is not torch.int64)
    assert size <= int(whole / 4.2)
    layers = changed.reports[-1].details["layers"].values()
    assert {layer["format"] for layer in layers} == {"int8-weights", "int4-weights"}
    assert decibels(program, changed, data) > 15
    with pytest.raises(CompileError, match="do not get as small"):
        mixed(program, data, most_bytes=whole // 20, formats=formats)


def test_quality_is_kept(program: Program, data: list[Tensor]) -> None:
    wanted = torch.cat([run_batched(program, (x,)).outputs[0] for x in data]).argmax(1)

    def agreement(changed: Program) -> float:
        got = torch.cat([run_batched(changed, (x,)).outputs[0] for x in data]).argmax(1)
        return 100 * float((got == wanted).float().mean())

    changed = mixed(program, data, most_loss=5.0, measure="kl", evaluate=agreement)
    assert 95 <= agreement(changed) <= 100
    assert changed.reports[-1].rewrites > 0


def test_work_is_saved_by_integers_alone(program: Program, data: list[Tensor]) -> None:
    changed = mixed(program, data, least_sqnr=20.0, save="work", formats=FORMATS)
    layers = changed.reports[-1].details["layers"].values()
    assert {layer["format"] for layer in layers} <= {"int8", "float"}
    assert any(layer["format"] == "int8" for layer in layers)


def test_what_nothing_allows_is_left_alone(program: Program, data: list[Tensor]) -> None:
    changed = mixed(program, data, least_sqnr=300.0)
    assert changed.reports[-1].rewrites == 0
    assert str(changed) == str(program)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one budget"),
        ({"least_sqnr": 30.0, "most_bytes": 10}, "exactly one budget"),
        ({"least_sqnr": 30.0, "formats": ("int3",)}, "formats name none"),
        ({"least_sqnr": 30.0, "formats": ()}, "formats name none"),
        ({"most_loss": 1.0}, "needs a measure of quality"),
        ({"least_sqnr": 30.0, "measure": "cosine"}, "measure must be"),
        ({"least_sqnr": 30.0, "save": "time"}, "save must be"),
    ],
)
def test_wrong_options(
    program: Program, data: list[Tensor], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(CompileError, match=message):
        mixed(program, data, **options)


def test_calibration_is_needed(program: Program) -> None:
    with pytest.raises(CompileError, match="needs calibration data"):
        optimize(program, [MixPrecision(least_sqnr=30.0)])


OPTIONS = {
    "a": [Option("float", 0.0, 100.0), Option("int8", 1.0, 25.0), Option("int4", 4.0, 12.5)],
    "b": [Option("float", 0.0, 40.0), Option("int8", 8.0, 10.0), Option("int4", 9.0, 5.0)],
    "c": [Option("float", 0.0, 10.0), Option("int8", 0.0, 11.0)],  # saves nothing
}


def test_moves_lose_least_first() -> None:
    moves = order_moves(OPTIONS)
    assert [(move.layer, move.to.format) for move in moves] == [
        ("a", "int8"),  # 1 for 75
        ("a", "int4"),  # 3 for 12.5
        ("b", "int4"),  # 9 for 35: better than int8, 8 for 30
    ]
    assert formats_after(OPTIONS, moves[:1]) == {"a": "int8", "b": "float", "c": "float"}
    assert [cost_after(OPTIONS, moves[:n]) for n in range(4)] == [150.0, 75.0, 62.5, 27.5]


def test_halving() -> None:
    for limit in range(8):
        assert most_that(lambda number: number <= limit, 7) == limit  # noqa: B023  # used at once
