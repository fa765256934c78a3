"""The pieces of healing: where a layer's result ends up, what it should be, how outputs compare."""

import pytest
import torch
from torch import Tensor, nn

import penjing
from penjing.compiler.batched_run import run_batched
from penjing.compiler.batches import Batch
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.passes import RemoveLayers
from penjing.passes.blocks.closing import Place, place_of, wanted_results
from penjing.passes.blocks.distances import distance
from penjing.passes.blocks.invert import can_invert, inverted
from penjing.passes.blocks.shortcuts import find_shortcuts, reach_of
from penjing.passes.blocks.slopes import slopes

_ATEN = torch.ops.aten


class Scaled(nn.Module):
    """A branch whose result is normalized, scaled and permuted before it is added."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.scale = nn.Parameter(torch.tensor([0.5, 2.0, -1.0]))
        assert self.norm.running_var is not None
        self.norm.running_var.uniform_(0.5, 2)

    def forward(self, x: Tensor) -> Tensor:
        branch: Tensor = self.norm(self.conv(x)).permute(0, 2, 3, 1) * self.scale
        return x + branch.permute(0, 3, 1, 2)


def test_the_wanted_result_makes_the_sum_right() -> None:
    torch.manual_seed(0)
    x = torch.randn(4, 3, 5, 5)
    program = trace(Scaled().eval(), (x[:1],))
    conv = program.graph.find_nodes(op="call_function", target=_ATEN.conv2d.default)[0]
    sums = {shortcut.sum for shortcut in find_shortcuts(program, reach_of(program))}
    place = place_of(conv, sums)
    assert place.node in sums
    assert place.addend is program.input_nodes[0]
    goal = torch.randn(4, 3, 5, 5)
    with torch.no_grad():
        known = run_batched(program, (x,), keep=[conv, place.addend], outputs=False).kept
    wanted = wanted_results(program, Batch((x,), times=4), conv, place, known, goal)
    with torch.no_grad():
        given = {conv: wanted, place.addend: x}
        got = run_batched(program, (x,), given=given).outputs[0]
    torch.testing.assert_close(got, goal, rtol=0, atol=1e-4)


def test_a_result_that_two_read_ends_up_nowhere_else() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = self.layer(x)
            return x + y, y.relu()

    program = trace(Both(), (torch.randn(2, 4),))
    call = program.graph.find_nodes(op="call_function", target=_ATEN.linear.default)[0]
    sums = {shortcut.sum for shortcut in find_shortcuts(program, reach_of(program))}
    assert len(sums) == 1
    assert place_of(call, sums).node is call


def tail_program(*layers: nn.Module) -> tuple[Program, tuple[torch.fx.Node, ...]]:
    program = trace(nn.Sequential(*layers).eval(), (torch.randn(1, 3, 6),))
    return program, tuple(n for n in program.graph.nodes if n.op == "call_function")


def test_a_norm_is_inverted_up_to_its_eps_where_its_result_can_be_reached() -> None:
    torch.manual_seed(0)
    norm = nn.LayerNorm(6)
    nn.init.uniform_(norm.weight, 0.5, 2)
    nn.init.normal_(norm.bias)
    program, tail = tail_program(norm)
    assert can_invert(tail)
    now, other = torch.randn(4, 3, 6), torch.randn(4, 3, 6)
    goal = norm(other).detach()
    found = inverted(program, tail, {tail[0]: now}, goal)
    torch.testing.assert_close(norm(found), goal, rtol=0, atol=1e-3)
    torch.testing.assert_close(found.mean(-1), now.mean(-1), rtol=0, atol=1e-5)


def test_what_gives_the_goal_already_is_left_alone() -> None:
    program, tail = tail_program(nn.LayerNorm(6), nn.ReLU())
    now = torch.randn(4, 3, 6)
    normed = nn.functional.layer_norm(now, (6,))
    found = inverted(program, tail, {tail[0]: now, tail[1]: normed}, normed.relu())
    torch.testing.assert_close(found, now, rtol=0, atol=1e-4)


def test_other_operations_are_not_inverted() -> None:
    _, tail = tail_program(nn.GELU())
    assert not can_invert(tail)


def test_a_place_behind_a_norm_takes_the_norms_goal() -> None:
    torch.manual_seed(0)
    program, (call, norm) = tail_program(nn.Linear(6, 6), nn.LayerNorm(6))
    x, other = torch.randn(4, 3, 6), torch.randn(4, 3, 6)
    goal = nn.functional.layer_norm(other, (6,))
    with torch.no_grad():
        known = run_batched(program, (x,), keep=[call], outputs=False).kept
    place = Place(call, None, tail=(norm,))
    wanted = wanted_results(program, Batch((x,), times=4), call, place, known, goal)
    torch.testing.assert_close(nn.functional.layer_norm(wanted, (6,)), goal, rtol=0, atol=1e-3)


def test_slopes_are_zero_where_no_output_depends() -> None:
    class First(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.sin()[:, :2] * 3

    x = torch.randn(4, 5)
    program = trace(First(), (x[:1],))
    sine = program.graph.find_nodes(op="call_function", target=_ATEN.sin.default)[0]
    found = slopes(program, Batch((x,), times=4), [sine], seed=0)[sine]
    assert (found[:, :2].abs() == 3).all()
    assert (found[:, 2:] == 0).all()


def test_distances() -> None:
    wanted = [torch.tensor([[1.0, 0.0], [0.0, 2.0]])]
    got = [torch.tensor([[0.0, 1.0], [0.0, 1.0]])]
    assert distance("relative", got, wanted) == pytest.approx(3 / 5)
    assert distance("cosine", got, wanted) == pytest.approx(0.5)
    logs = wanted[0].log_softmax(1), got[0].log_softmax(1)
    by_hand = float((logs[0].exp() * (logs[0] - logs[1])).sum(1).mean())
    assert distance("kl", got, wanted) == pytest.approx(by_hand, rel=1e-5)
    assert distance("relative", [torch.tensor([1])], [torch.tensor([2])]) == 0


@pytest.mark.slow
def test_a_healed_program_compiles() -> None:
    torch.manual_seed(0)
    encoder = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    model = nn.Sequential(
        nn.Linear(6, 16), nn.TransformerEncoder(encoder, 3, enable_nested_tensor=False)
    ).eval()
    batches = [torch.randn(8, 5, 6) for _ in range(4)]
    example = (batches[0][:1],)
    artifact = penjing.compile(
        model, example, target="host", passes=[RemoveLayers(count=1)], calibration=batches
    )
    optimized = penjing.optimize(
        trace(model, example), [RemoveLayers(count=1)], calibration=batches
    )
    (got,) = artifact.run(*example)
    wanted = optimized.run(*example)
    torch.testing.assert_close(torch.from_numpy(got), wanted, rtol=0, atol=1e-4)
    assert artifact.report.macs < penjing.compile(model, example, target="host").report.macs
