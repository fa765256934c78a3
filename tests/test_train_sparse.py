from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from penjing.compiler.coupling import analyze, shrink
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize
from penjing.compiler.training import Training, TrainingOptions
from penjing.compiler.training.sparsity import ShrinkUnits, ShrinkWeights, unit_squares
from penjing.passes import TrainSparse
from tests.support import assert_close


class Residual(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.layers(x))


def _program() -> Program:
    return _traced().copy()


@cache
def _traced() -> Program:
    torch.manual_seed(0)
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)]
    model = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), Residual(8), *head)
    return trace(model.eval(), (torch.zeros(1, 1, 4, 4),))


def _data() -> list[Tensor]:
    return list(torch.randn(24, 1, 4, 4, generator=torch.Generator().manual_seed(1)).split(4))


def _trained(**options: Any) -> Program:
    settings = {"epochs": 20, "batch_size": 8, "lr": 3e-3, **options}
    return optimize(_program(), [TrainSparse(**settings)], calibration=_data())


def _norms(program: Program) -> list[Tensor]:
    """Of the units of each group, relative to their mean."""
    result = []
    for group in analyze(program).groups:
        squares, _ = unit_squares(group, program.weights)
        result.append(squares.detach().sqrt() / squares.detach().sqrt().mean())
    return result


def test_units_that_faded_can_be_pruned_without_loss() -> None:
    program = _trained(method="growing", ratio=0.5)
    coupling = analyze(program)
    details = program.reports[-1].details["small_units"]
    keep = {}
    for group, norms in zip(coupling.groups, _norms(program), strict=True):
        assert details[group.name] == {"small": group.size // 2, "units": group.size}
        keep[group] = (norms > 0.1).numpy()
        assert keep[group].sum() == group.size - group.size // 2
    small = program.copy()
    coupling = analyze(small)
    shrink(small, coupling, dict(zip(coupling.groups, keep.values(), strict=True)))
    x = _data()[0][:1]
    assert_close(small.run(x), program.run(x), 1e-3)
    assert small.weights["0.weight"].shape[0] == 4


def test_what_is_left_learns_to_do_without_them() -> None:
    """Fading while training loses less than dropping the same units at once."""
    programs = [_trained(method="growing", ratio=0.25)]
    programs.append(_trained(method="growing", ratio=0.25, steps=1, lr=1e-9))
    reports = [program.reports[-1].after for program in programs]
    faded, dropped = (report.error for report in reports if report is not None)
    assert faded is not None and dropped is not None
    assert 0 < faded < 0.5 * dropped


def test_the_group_lasso_empties_units() -> None:
    plain, sparse = (
        _trained(method="group-lasso", strength=strength, epochs=40) for strength in (1e-9, 1e-2)
    )
    (outer, _), (shrunk, _) = _norms(plain), _norms(sparse)
    assert shrunk.std() > 2 * outer.std()
    names = ("2.layers.0.weight", "2.layers.3.weight")
    assert all(sparse.weights[n].norm() < 0.5 * plain.weights[n].norm() for n in names)


def test_l1_makes_weights_small() -> None:
    plain, sparse = (
        _trained(method="l1", strength=strength, epochs=40) for strength in (1e-9, 0.1)
    )
    for name in ("0.weight", "2.layers.0.weight"):
        small = [float((p.weights[name].abs() < 1e-2).double().mean()) for p in (plain, sparse)]
        assert small[1] > small[0] + 0.2


def test_the_penalties_are_their_formulas() -> None:
    program = _program()
    state = Training(program, TrainingOptions(), 1)
    weights = program.weights
    expected = 0.5 * (weights["0.weight"].abs().sum() + weights["5.weight"].abs().sum())
    torch.testing.assert_close(
        ShrinkWeights(0.5, ["0.weight", "5.weight"]).penalty(state), expected
    )
    (inner,) = (group for group in analyze(program).groups if group.name == "2.layers.0")
    terms = []
    for unit in range(8):
        own = [
            weights["2.layers.0.weight"][unit].flatten(),
            weights["2.layers.1.weight"][unit].view(1),
            weights["2.layers.1.bias"][unit].view(1),
            weights["2.layers.3.weight"][:, unit].flatten(),
        ]
        joined = torch.cat(own)
        terms.append(len(joined) ** 0.5 * joined.norm())
    torch.testing.assert_close(ShrinkUnits(2.0, [inner]).penalty(state), 2 * sum(terms))


def test_a_program_without_units_is_refused() -> None:
    program = trace(nn.Linear(4, 4), (torch.zeros(1, 4),))
    with pytest.raises(CompileError, match="no units that can be pruned"):
        optimize(program, [TrainSparse()], calibration=[torch.zeros(4, 4)])


@pytest.mark.parametrize("options", [{"method": "l2"}, {"strength": -1.0}, {"ratio": 2.0}])
def test_options_that_make_no_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(CompileError, match=f"{next(iter(options))} is out of range"):
        TrainSparse(**options)
