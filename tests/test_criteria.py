"""Every criterion against its formula, computed by hand on two linear layers."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from penjing.compiler.batches import Batch
from penjing.compiler.coupling import Group, analyze
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.passes.channels.criteria import CALIBRATED, CRITERIA, score
from penjing.passes.channels.removal import Problem, removal_errors
from penjing.passes.channels.scoring import Scoring

UNITS = 6


@cache
def program() -> Program:
    """Linear [4 -> 6], batch norm, ReLU, linear [6 -> 3]."""
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(UNITS)
    nn.init.normal_(norm.weight)
    model = nn.Sequential(nn.Linear(4, UNITS), norm, nn.ReLU(), nn.Linear(UNITS, 3))
    return trace(model.eval(), (torch.randn(1, 4),))


@cache
def batches() -> list[Batch]:
    """Three batches of five samples with labels."""
    generator = torch.Generator().manual_seed(0)
    return [
        Batch((torch.randn(5, 4, generator=generator),), torch.tensor([0, 1, 2, 1, 0]), 5)
        for _ in range(3)
    ]


def scoring() -> Scoring:
    """What criteria look at."""
    return Scoring(program(), list(analyze(program()).groups), batches(), ridge=0.0)


def group() -> Group:
    """The six hidden units."""
    (found,) = analyze(program()).groups
    assert found.size == UNITS
    return found


def weights() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Weights and bias of the first layer, the norm's scale, weights of the second layer."""
    w = program().weights
    return w["0.weight"], w["0.bias"], w["1.weight"], w["3.weight"]


def hidden(x: Tensor) -> Tensor:
    """What the second layer reads."""
    w = program().weights
    y = functional.linear(x, w["0.weight"], w["0.bias"])
    stats = w["1.running_mean"], w["1.running_var"], w["1.weight"], w["1.bias"]
    return functional.relu(functional.batch_norm(y, *stats))


def losses() -> list[tuple[Tensor, Tensor]]:
    """Weight times gradient of both layers' weights, for each batch."""
    first, second = (program().weights[name] for name in ("0.weight", "3.weight"))
    found = []
    for batch in batches():
        outputs = functional.linear(hidden(batch.inputs[0]), second, program().weights["3.bias"])
        loss = functional.cross_entropy(outputs, batch.labels)
        gradients = torch.autograd.grad(loss, [first, second])
        found.append((first * gradients[0], second * gradients[1]))
    return found


def by_unit(first: Tensor, second: Tensor) -> Tensor:
    """The sum over both members, each by its mean."""
    parts = first.sum(1), second.sum(0)
    return sum((part / part.mean() for part in parts), torch.zeros(UNITS))


def group_l2() -> Tensor:
    out, _, scale, into = weights()
    return (out**2).sum(1) + (into**2).sum(0) + scale**2


def lamp() -> Tensor:
    out, _, _, into = weights()
    squares = by_unit(out**2, into**2)
    return torch.stack([s / squares[squares >= s].sum() for s in squares])


def fpgm() -> Tensor:
    out = weights()[0]
    return torch.stack([(out - row).norm(dim=1).sum() for row in out])


def activation() -> Tensor:
    x = hidden(torch.cat([batch.inputs[0] for batch in batches()]))
    return (x**2).mean(0) * (weights()[3] ** 2).sum(0)


def taylor() -> Tensor:
    return torch.stack([first.sum(1) ** 2 for first, _ in losses()]).mean(0)


def obd() -> Tensor:
    return sum(((a**2).sum(1) + (b**2).sum(0) for a, b in losses()), torch.zeros(UNITS)) / 6


EXPECTED: dict[str, Callable[[], Tensor]] = {
    "l1": lambda: by_unit(weights()[0].abs(), weights()[3].abs()),
    "l2": lambda: by_unit(weights()[0] ** 2, weights()[3] ** 2),
    "group-l2": group_l2,
    "lamp": lamp,
    "fpgm": fpgm,
    "bn-scale": lambda: weights()[2].abs(),
    "activation": activation,
    "taylor": taylor,
    "obd": obd,
}


@pytest.mark.parametrize("name", EXPECTED)
def test_scores_are_those_of_the_formula(name: str) -> None:
    expected = EXPECTED[name]().detach().double().numpy()
    if name != "lamp":
        expected = expected / expected.mean()
    assert expected.std() > 0.01
    scores = score(name, scoring(), group())
    assert scores is not None
    np.testing.assert_allclose(scores, expected, rtol=1e-4)


def test_every_criterion_is_tested() -> None:
    assert set(CRITERIA) == {*EXPECTED, "random", "reconstruction"}
    assert set(CALIBRATED) <= set(CRITERIA)


def test_random_scores_follow_the_seed() -> None:
    def draw(seed: int) -> list[float]:
        chosen = Scoring(program(), [group()], seed=seed)
        scores = score("random", chosen, group())
        assert scores is not None
        return list(scores)

    assert draw(1) == draw(1)
    assert draw(1) != draw(2)


def test_the_users_own_criterion_is_taken_as_it_is() -> None:
    scores = score(lambda program, group: range(group.size), scoring(), group())
    assert scores is not None
    assert list(scores) == [0, 1, 2, 3, 4, 5]


def test_a_group_without_a_norm_has_no_scales() -> None:
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    plain = trace(model, (torch.randn(1, 4),))
    (found,) = analyze(plain).groups
    assert score("bn-scale", Scoring(plain, [found]), found) is None


def test_without_labels_outputs_are_what_gradients_are_of() -> None:
    """The mean squared gradient of random signs is the Gauss-Newton diagonal: sum over outputs."""
    x = torch.randn(2000, 4)
    model = nn.Sequential(nn.Linear(4, 3, bias=False), nn.Linear(3, 2, bias=False))
    linear = trace(model, (torch.randn(1, 4),))
    (found,) = analyze(linear).groups
    many = [Batch((row[None],)) for row in x]
    first, second = linear.weights["0.weight"], linear.weights["1.weight"]
    got = Scoring(linear, [found], many).first_order(
        [member for member in found.members if member.role == "out"], 3
    )
    moved = (x @ first.T)[:, :, None] * second.T  # the outputs' part that goes with each unit
    expected = (moved**2).sum(2).mean(0)
    np.testing.assert_allclose(got, expected.detach().numpy(), rtol=0.1)


def test_reconstruction_counts_what_a_refit_cannot_make_up_for() -> None:
    """Against least squares over all subsets that the greedy choice passes through."""
    x = hidden(torch.cat([batch.inputs[0] for batch in batches()])).detach().double()
    x = x - x.mean(0) + torch.randn(x.shape, generator=torch.Generator().manual_seed(0)) / 10
    x = x - x.mean(0)
    matrix = weights()[3].T.detach().double()

    def error(units: list[int]) -> float:
        left = [unit for unit in range(UNITS) if unit not in units]
        fitted = torch.linalg.lstsq(x[:, left], x @ matrix).solution
        return float(((x @ matrix - x[:, left] @ fitted) ** 2).sum() / len(x))

    inverse = torch.linalg.inv(x.T @ x / len(x))
    scores = removal_errors([Problem(inverse, matrix, np.arange(UNITS))], UNITS)
    order = list(np.argsort(scores))
    for count in range(1, UNITS):
        gone = [int(unit) for unit in order[:count]]
        assert scores[order[count - 1]] == pytest.approx(error(gone), rel=1e-6)
        cheapest = min(error([*gone[:-1], u]) for u in range(UNITS) if u not in gone[:-1])
        assert error(gone) == pytest.approx(cheapest)


def test_reconstruction_prefers_what_is_repeated() -> None:
    """A unit that another one repeats costs nothing, however large its weights are."""
    torch.manual_seed(0)
    first, second = nn.Linear(4, 4), nn.Linear(4, 2)
    with torch.no_grad():
        first.weight[3], first.bias[3] = first.weight[1], first.bias[1]
        second.weight[:, 3] = 10
    doubled = trace(nn.Sequential(first, nn.ReLU(), second), (torch.randn(1, 4),))
    (found,) = analyze(doubled).groups
    samples = [Batch((torch.randn(64, 4),), None, 64)]
    scores = score("reconstruction", Scoring(doubled, [found], samples, ridge=1e-6), found)
    assert scores is not None
    assert int(np.argmin(scores)) in (1, 3)
    assert scores.min() < 1e-3 * np.median(scores)


def test_blocks_of_features_go_together() -> None:
    """Units of two features each, as a 1x2 convolution has: again against least squares."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(50, 8, generator=generator, dtype=torch.float64)
    matrix = torch.randn(8, 3, generator=generator, dtype=torch.float64)
    units = np.array([0, 0, 1, 1, 2, 2, -1, -1])
    problem = Problem(torch.linalg.inv(x.T @ x / len(x)), matrix, units)
    scores = removal_errors([problem], 3)
    first = int(np.argmin(scores))
    left = [place for place in range(8) if units[place] != first]
    fitted = torch.linalg.lstsq(x[:, left], x @ matrix).solution
    expected = float(((x @ matrix - x[:, left] @ fitted) ** 2).sum() / len(x))
    assert scores[first] == pytest.approx(expected)
