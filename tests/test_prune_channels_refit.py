"""What PruneChannels does with calibration data: layers and norms are fitted to the original."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize
from penjing.passes import PruneChannels
from penjing.passes.channels.least_squares import RIDGES, NormalEquations, best_ridge
from penjing.passes.channels.rows import enough_rows
from tests.test_prune_channels import cnn, data, kept, prune, transformer


def error(program: Program) -> float:
    """Relative error of the outputs on the calibration data."""
    after = program.reports[-1].after
    assert after is not None
    assert after.error is not None
    return after.error


@pytest.mark.parametrize("make", [cnn, transformer])
def test_a_refit_reduces_the_error(make: Any) -> None:
    program = make()
    given = {"ratio": 0.5, "scope": "layer", "calibration": data(program)}
    refitted, plain = prune(program, **given), prune(program, **given, refit=False)
    assert kept(refitted) == kept(plain)
    assert refitted.reports[-1].details["refitted_layers"] > 2
    assert error(refitted) < 0.5 * error(plain)


@pytest.mark.parametrize("make", [cnn, transformer])
def test_choosing_by_what_a_refit_leaves_beats_norms(make: Any) -> None:
    program = make()
    given = {"ratio": 0.5, "scope": "layer", "calibration": data(program)}
    chosen = prune(program, **given, criterion="reconstruction")
    assert error(chosen) < error(prune(program, **given))


def test_a_layer_becomes_the_least_squares_solution() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    program = trace(model, (torch.randn(1, 4),))
    x = torch.randn(40, 4)
    pruned = prune(program, ratio=0.5, calibration=[x[:30], x[30:]], ridge=0.0, loss=all_alike)
    w = pruned.weights
    read = torch.relu(nn.functional.linear(x, w["0.weight"], w["0.bias"]))
    ones = torch.ones(40, 1)
    expected = torch.linalg.lstsq(torch.cat([read, ones], 1), model(x)).solution.T
    torch.testing.assert_close(w["2.weight"], expected[:, :-1], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(w["2.bias"], expected[:, -1], atol=1e-3, rtol=1e-3)


def all_alike(outputs: list[Tensor], labels: Any) -> Tensor:
    """A loss by which every row counts the same."""
    return outputs[0].sum()


@pytest.mark.parametrize(
    "reader",
    [
        nn.Conv2d(8, 3, 3, stride=2, padding=1),
        nn.Conv2d(8, 3, (1, 3), dilation=(1, 2), bias=False),
        nn.Conv2d(8, 3, 1),
    ],
)
def test_convolutions_are_fitted_window_by_window(reader: nn.Module) -> None:
    """Half of the channels repeat the others, so that nothing need be lost without them."""
    torch.manual_seed(0)
    first = nn.Conv2d(2, 8, 3, padding=1)
    repeat(first)
    program = trace(nn.Sequential(first, nn.ReLU(), reader), (torch.randn(1, 2, 7, 7),))
    batches = [torch.randn(6, 2, 7, 7) for _ in range(3)]
    options = {"ratio": 0.5, "calibration": batches, "criterion": keep_the_first}
    assert error(prune(program, **options, refit=False)) > 0.1
    assert error(prune(program, **options, ridge=1e-9)) < 1e-3


def test_convolutions_over_one_dimension_are_fitted_too() -> None:
    torch.manual_seed(0)
    first, second = nn.Conv1d(2, 8, 3), nn.Conv1d(8, 3, 3, padding=2, dilation=2)
    repeat(first)
    program = trace(nn.Sequential(first, nn.ReLU(), second), (torch.randn(1, 2, 9),))
    batches = [torch.randn(16, 2, 9) for _ in range(3)]
    options = {"ratio": 0.5, "calibration": batches, "criterion": keep_the_first}
    assert error(prune(program, **options, ridge=1e-9)) < 1e-3


def repeat(layer: nn.Conv1d | nn.Conv2d) -> None:
    """Let channels 4 to 7 be half of channels 0 to 3."""
    assert layer.bias is not None
    with torch.no_grad():
        layer.weight[4:], layer.bias[4:] = layer.weight[:4] / 2, layer.bias[:4] / 2


def keep_the_first(program: Program, group: Any) -> Tensor:
    """A criterion under which the last units go first."""
    return -torch.arange(group.size, dtype=torch.float64)


class Branches(nn.Module):
    """Two branches of the same sum; the first one loses what the second one could give."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 5))
        self.second = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 5))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.first(x) + self.second(x)
        return y


def test_a_layer_makes_up_for_what_it_is_added_to() -> None:
    """The second branch is fitted to the sum: better than each branch to its own result."""
    torch.manual_seed(0)
    program = trace(Branches(), (torch.randn(1, 6),))
    x = torch.randn(200, 6)
    pruned = prune(program, ratio=0.5, scope="layer", calibration=[x], ridge=0.0, loss=all_alike)
    w = pruned.weights

    def read(branch: str) -> Tensor:
        return torch.relu(nn.functional.linear(x, w[f"{branch}.0.weight"], w[f"{branch}.0.bias"]))

    first = nn.functional.linear(read("first"), w["first.2.weight"], w["first.2.bias"])
    matrix = torch.cat([read("second"), torch.ones(200, 1)], 1)
    wanted = torch.cat([program.run(row[None]) for row in x]) - first
    expected = torch.linalg.lstsq(matrix, wanted).solution.T
    torch.testing.assert_close(w["second.2.weight"], expected[:, :-1], atol=1e-3, rtol=1e-3)


class PooledTokens(nn.Module):
    """The mean over the tokens that a mask keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 16), nn.GELU(), nn.Linear(16, 5))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        weights = mask[..., None]
        y: Tensor = (self.layers(x) * weights).sum(1) / weights.sum(1)
        return y


def test_what_no_output_depends_on_does_not_count() -> None:
    """Garbage in padding changes nothing; without the mask it would."""
    torch.manual_seed(0)
    program = trace(PooledTokens(), (torch.randn(1, 4, 6), torch.ones(1, 4)))
    x, mask = torch.randn(30, 4, 6), torch.ones(30, 4)
    mask[:, 2:] = 0
    garbage = torch.cat([x[:, :2], 100 * torch.randn(30, 2, 6)], 1)
    found = [
        prune(program, ratio=0.5, calibration=[(each, mask)], criterion="reconstruction").weights
        for each in (x, garbage)
    ]
    torch.testing.assert_close(found[0]["layers.2.weight"], found[1]["layers.2.weight"])
    assert not torch.equal(
        found[0]["layers.2.weight"],
        prune(program, ratio=0.5, calibration=[(garbage, mask + 1)]).weights["layers.2.weight"],
    )


def test_norms_get_the_statistics_of_what_they_read() -> None:
    program = cnn()
    batches = data(program)
    pruned = prune(program, ratio=0.5, calibration=batches, renormalize=True, refit=False)
    (norm,) = pruned.graph.find_nodes(op="call_function", target=torch.ops.aten.batch_norm.default)
    from penjing.compiler.batched_run import run_batched

    source = norm.args[0]
    values = [run_batched(pruned, (x,), keep=[source]).kept[source] for x in batches]
    rows = torch.cat(values).movedim(1, 0).flatten(1)
    torch.testing.assert_close(pruned.weight(norm.args[3]), rows.mean(1), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(pruned.weight(norm.args[4]), rows.var(1), atol=1e-5, rtol=1e-3)


def test_steps_fit_to_the_original_and_not_to_the_step_before() -> None:
    """Channels that repeat others go in two steps: nothing may be lost in between."""
    torch.manual_seed(0)
    first, second = nn.Linear(4, 8), nn.Linear(8, 3)
    with torch.no_grad():
        for copy in (2, 4, 6):
            first.weight[copy : copy + 2] = first.weight[:2] / copy
            first.bias[copy : copy + 2] = first.bias[:2] / copy
    program = trace(nn.Sequential(first, nn.ReLU(), second), (torch.randn(1, 4),))
    options = {"ratio": 0.75, "steps": 2, "criterion": keep_the_first, "ridge": 1e-9}
    pruned = prune(program, **options, calibration=[torch.randn(64, 4)])
    assert kept(pruned) == {"0": (2, 8)}
    assert error(pruned) < 1e-3


def test_the_users_loss_decides_what_matters() -> None:
    """Two outputs, of which the loss reads one: units that make the other one go."""
    torch.manual_seed(0)
    first, second = nn.Linear(4, 8), nn.Linear(8, 2)
    with torch.no_grad():
        second.weight[0, 4:] = 0
        second.weight[1, :4] = 0
    program = trace(nn.Sequential(first, second), (torch.randn(1, 4),))
    for output, left in ((0, slice(0, 4)), (1, slice(4, 8))):

        def loss(outputs: list[Tensor], labels: Any, output: int = output) -> Tensor:
            return (outputs[0][:, output] ** 2).sum()

        options = {"criterion": "taylor", "loss": loss, "refit": False}
        pruned = prune(program, ratio=0.5, calibration=[torch.randn(16, 4)] * 4, **options)
        assert torch.equal(pruned.weights["0.weight"], program.weights["0.weight"][left])


def test_a_loss_that_is_no_number_is_refused() -> None:
    program = cnn()
    pass_ = PruneChannels(
        ratio=0.5, criterion="taylor", loss=lambda outputs, labels: outputs[0].sum() / 0
    )
    with pytest.raises(CompileError, match="finite number"):
        optimize(program, [pass_], calibration=data(program))


def test_rows_of_no_weight_leave_a_layer_as_it_is() -> None:
    equations = NormalEquations.of_size(3, 2)
    prior = torch.randn(3, 2, dtype=torch.float64)
    equations.add(torch.randn(5, 3), torch.randn(5, 2), torch.zeros(5))
    matrix, offset = equations.solve(0.01, prior, with_offset=False)
    torch.testing.assert_close(matrix, prior)
    assert offset is None


def test_the_ridge_follows_the_data() -> None:
    """Few noisy rows want a large ridge, many exact ones a small one."""
    generator = torch.Generator().manual_seed(0)
    prior = torch.randn(20, 3, generator=generator)
    found = []
    for rows, noise in ((30, 3.0), (3000, 0.01)):
        halves = [NormalEquations.of_size(20, 3) for _ in range(2)]
        for equations in halves:
            x = torch.randn(rows, 20, generator=generator)
            t = x @ (prior + 0.1) + noise * torch.randn(rows, 3, generator=generator)
            equations.add(x, t, torch.ones(rows))
        found.append(best_ridge(halves, prior.double(), with_offset=True))
    assert found == [max(RIDGES), min(RIDGES)]


def test_the_error_of_equations_is_that_of_their_rows() -> None:
    x, t, w = torch.randn(9, 4).double(), torch.randn(9, 2).double(), torch.rand(9).double()
    equations = NormalEquations.of_size(4, 2)
    equations.add(x, t, w)
    fits = [(torch.randn(4, 2).double(), torch.randn(2).double()) for _ in range(2)]
    direct = [float((w[:, None] * (x @ m + b - t) ** 2).sum()) for m, b in fits]
    quick = [equations.error(m, b) for m, b in fits]
    assert quick[0] - quick[1] == pytest.approx(direct[0] - direct[1])


def test_rows_are_thinned_where_there_are_more_than_enough() -> None:
    assert enough_rows(8) == 4096
    assert enough_rows(768) == 64 * 768
    assert enough_rows(1536) == 10**11 // 1536**2
    assert enough_rows(4608) == 4 * 4608
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3))
    program = trace(model, (torch.randn(1, 4),))
    x = torch.randn(20000, 4)
    many = prune(program, ratio=0.5, calibration=[x], ridge=1e-6, loss=all_alike)
    few = prune(program, ratio=0.5, calibration=[x[:4096]], ridge=1e-6, loss=all_alike)
    assert error(many) == pytest.approx(error(few), rel=0.1)
    assert not torch.equal(many.weights["2.weight"], few.weights["2.weight"])
