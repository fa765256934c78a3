"""PruneChannels: what it drops is what a mask would drop, as much as asked, and no more."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import penjing
from penjing import targets
from penjing.compiler.coupling import Group, analyze, zero_out
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.macs import macs
from penjing.compiler.pass_manager import optimize
from penjing.compiler.pass_text import parse
from penjing.passes import PruneChannels
from tests.support import assert_close


class Attention(nn.Module):
    """Self-attention written with a view into heads, and a feed-forward network."""

    def __init__(self, width: int = 32, heads: int = 4) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width)
        self.value, self.out = nn.Linear(width, width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, t, c = x.shape
        parts = (
            layer(x).view(n, t, self.heads, c // self.heads).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        mixed = nn.functional.scaled_dot_product_attention(*parts)
        x = x + self.out(mixed.transpose(1, 2).reshape(n, t, c))
        y: torch.Tensor = x + self.down(nn.functional.gelu(self.up(x)))
        return y


class Residual(nn.Module):
    """A convolution added to its input."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.norm(self.conv(x)) + x)


@cache
def cnn(width: int = 32) -> Program:
    """A small residual network on 8x8 images."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.ReLU(),
        Residual(width),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(2 * width, 2 * width, 3, padding=1, groups=2 * width),
        nn.Conv2d(2 * width, 4 * width, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4 * width, 10),
    )
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            module.running_mean.normal_(0, 0.1)
    return trace(model.eval(), (torch.randn(1, 3, 8, 8),))


@cache
def transformer() -> Program:
    """Two layers of attention on 6 tokens."""
    torch.manual_seed(0)
    model = nn.Sequential(Attention(), Attention())
    return trace(model.eval(), (torch.randn(1, 6, 32),))


def data(program: Program, count: int = 4, samples: int = 6) -> list[torch.Tensor]:
    """Random calibration batches that lie near a few directions, as real activations do."""
    generator = torch.Generator().manual_seed(1)
    shape = program.inputs[0].shape[1:]
    basis = torch.randn(8, *shape, generator=generator)
    mix = torch.randn(count, samples, 8, generator=generator)
    return [torch.einsum("nk,k...->n...", each, basis) / 8**0.5 for each in mix]


def prune(program: Program, **options: Any) -> Program:
    """The program pruned; options of `optimize` may be among them."""
    given = {k: options.pop(k) for k in ("calibration", "target", "evaluate") if k in options}
    return optimize(program, [PruneChannels(**options)], **given)


def kept(program: Program) -> dict[str, tuple[int, int]]:
    """For each group: kept units, units before."""
    groups = program.reports[-1].details["groups"]
    return {name: (row["kept"], row["of"]) for name, row in groups.items()}


def work(program: Program) -> int:
    """Multiply-accumulates."""
    return sum(map(macs, program.graph.nodes))


def first_units(program: Program, group: Group) -> np.ndarray:
    """A criterion under which the last units go first."""
    return np.arange(group.size, 0.0, -1)


@pytest.mark.parametrize("make", [cnn, transformer])
@pytest.mark.parametrize("ratio", [0.25, 0.5, 0.75])
def test_it_computes_what_a_mask_computes(make: Any, ratio: float) -> None:
    program = make()
    pruned = prune(program, ratio=ratio, scope="layer", criterion=first_units)
    coupling = analyze(program)
    counts = kept(pruned)
    drop = {g: np.arange(g.size) >= counts[g.name][0] for g in coupling.groups}
    masked = zero_out(program, coupling, drop)
    x = data(program, 1, 1)[0]
    assert_close(pruned.run(x), masked.run(x), 1e-4)
    assert not torch.allclose(program.run(x), masked.run(x), rtol=0.05)
    assert all(left == round((1 - ratio) * size) for left, size in counts.values())


@pytest.mark.parametrize("scope", ["global", "layer"])
@pytest.mark.parametrize("share", [0.75, 0.5, 0.25])
def test_the_work_that_was_asked_for_is_left(scope: str, share: float) -> None:
    program = cnn()
    pruned = prune(program, macs=share, scope=scope)
    assert work(pruned) / work(program) == pytest.approx(share, rel=0.01)
    goal = pruned.reports[-1].details["goal"]
    assert goal["kept"] == pytest.approx(work(pruned) / work(program))


def test_the_units_that_were_asked_for_are_left() -> None:
    for ratio in (0.3, 0.6):
        pruned = prune(cnn(), ratio=ratio, target="x86-64-v4", least_kept=0.0)
        assert pruned.reports[-1].details["goal"]["kept"] == pytest.approx(1 - ratio, abs=0.05)


def test_the_bytes_that_were_asked_for_are_left() -> None:
    program = transformer()
    pruned = prune(program, bytes=0.4)
    sizes = [sum(t.nbytes for t in p.weights.values()) for p in (pruned, program)]
    assert sizes[0] / sizes[1] == pytest.approx(0.4, rel=0.02)


def test_instructions_follow_the_estimate_for_the_target() -> None:
    program = cnn()
    pruned = prune(program, instructions=0.5, target="arm-a72")
    assert pruned.reports[-1].details["goal"]["kept"] == pytest.approx(0.5, rel=0.05)
    assert 0.3 < work(pruned) / work(program) < 0.65


def test_steps_end_at_the_same_goal() -> None:
    program = cnn()
    for options in ({"macs": 0.3}, {"ratio": 0.5}):
        pruned = prune(program, **options, steps=3)
        goal = pruned.reports[-1].details["goal"]
        assert goal["kept"] == pytest.approx(goal["keep"], rel=0.02)


def test_widths_are_multiples_of_the_targets_vectors() -> None:
    program = cnn(width=40)
    for target, lanes in (("arm-a72", 4), ("x86-64-v4", 16)):
        assert targets.get(target).lanes(32) == lanes
        pruned = prune(program, ratio=0.4, target=target)
        assert all(left % lanes == 0 or left == size for left, size in kept(pruned).values())
        assert any(left < size for left, size in kept(pruned).values())
        assert pruned.reports[-1].details["notes"] == []
    odd = prune(program, ratio=0.33, scope="layer", round_to=1, target="arm-a72")
    assert any(left % 4 for left, _ in kept(odd).values())
    assert any("part of a vector" in note for note in odd.reports[-1].details["notes"])


def test_every_group_keeps_what_it_must() -> None:
    program = cnn()
    least = prune(program, ratio=0.9, criterion=one_group_matters, least_kept=0.25)
    assert all(left >= 0.25 * size for left, size in kept(least).values())
    most = prune(program, ratio=0.9, criterion=one_group_matters, max_ratio=0.5, least_kept=0.0)
    assert all(left >= 0.5 * size for left, size in kept(most).values())
    none = prune(program, ratio=0.99, criterion=one_group_matters, least_kept=0.0)
    assert all(left >= 1 for left, _ in kept(none).values())


def one_group_matters(program: Program, group: Group) -> torch.Tensor:
    """Without a guard, all other groups would be emptied."""
    return torch.rand(group.size) + (100 if group.name == "6" else 0)


def test_the_guard_counts_from_the_original_over_steps() -> None:
    pruned = prune(cnn(), ratio=0.9, steps=4, least_kept=0.3)
    assert all(left >= 0.3 * size for left, size in kept(pruned).values())


def test_protected_modules_keep_their_outputs() -> None:
    program = transformer()
    pruned = prune(program, ratio=0.5, protect=("0.up", "1"), scope="layer")
    counts = kept(pruned)
    assert {name for name, (left, size) in counts.items() if left < size} == {"0"}
    assert counts["0.up"] == (128, 128)
    assert counts["1.up"] == (128, 128)


def test_only_some_modules_are_pruned() -> None:
    counts = kept(prune(transformer(), ratio=0.5, only=("*.up",), scope="layer"))
    assert {name for name, (left, size) in counts.items() if left < size} == {"0.up", "1.up"}


def test_heads_are_dropped_whole_and_so_are_dimensions_of_heads() -> None:
    program = transformer()
    for kind, shape in (("heads", [1, 2, 6, 8]), ("head_dim", [1, 4, 6, 4])):
        pruned = prune(program, ratio=0.5, kinds=(kind,), scope="layer")
        (first, *_) = (
            node
            for node in pruned.graph.nodes
            if node.target is torch.ops.aten.scaled_dot_product_attention.default
        )
        assert list(first.args[2].meta["val"].shape) == shape


def test_hidden_width_goes_through_norms() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.LayerNorm(16), nn.Linear(16, 4))
    program = trace(model, (torch.randn(2, 8),))
    untouched = prune(program, ratio=0.5)
    assert untouched.reports[-1].rewrites == 0
    assert "norm" in str(untouched.reports[-1].details["locked"])
    pruned = prune(program, ratio=0.5, kinds=("hidden",))
    assert pruned.weights["0.weight"].shape == (8, 8)
    assert pruned.weights["1.weight"].shape == (8,)


def test_text_form() -> None:
    (parsed,) = parse("prune-channels{macs=0.5,criterion=taylor,protect=(head),scope=layer}")
    expected = PruneChannels(macs=0.5, criterion="taylor", protect=("head",), scope="layer")
    assert parsed == expected
    assert parse(str(expected)) == [expected]


def test_the_report_tells_what_is_left() -> None:
    program = cnn()
    pruned = prune(program, macs=0.5, calibration=data(program), evaluate=lambda p: float(work(p)))
    report = pruned.reports[-1]
    assert set(report.details["groups"]["0"]) == {"kind", "kept", "of"}
    assert report.details["locked"][-1] == {
        "name": "10",
        "size": 10,
        "reason": "it is an output of the program",
        "at": report.details["locked"][-1]["at"],
    }
    assert report.before is not None
    assert report.after is not None
    assert report.after.parameters < report.before.parameters
    assert 0 < (report.after.error or 0) < 1
    assert report.after.quality == work(pruned)


def test_parameters_stay_trainable() -> None:
    program = cnn()
    pruned = prune(program, ratio=0.5, calibration=data(program))
    assert isinstance(pruned.weights["3.weight"], nn.Parameter)
    assert pruned.weights["3.weight"].requires_grad


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "must be told how much"),
        ({"ratio": 0.5, "macs": 0.5}, "must be told how much"),
        ({"ratio": 1.0}, "ratio must be"),
        ({"macs": 0.0}, "macs must be"),
        ({"ratio": 0.5, "criterion": "tailor"}, "did you mean 'taylor'"),
        ({"ratio": 0.5, "criterion": "taylor"}, "needs calibration data"),
        ({"ratio": 0.5, "criterion": "activation"}, "needs calibration data"),
        ({"ratio": 0.5, "renormalize": True}, "needs calibration data"),
        ({"ratio": 0.5, "protect": ("nowhere",)}, "protect names no module"),
        ({"ratio": 0.5, "only": ("nowhere",)}, "only names no module"),
        ({"ratio": 0.5, "kinds": ("wings",)}, "unknown kinds"),
        ({"ratio": 0.5, "kinds": ("heads", "head_dim")}, "cannot be pruned at once"),
        ({"ratio": 0.5, "steps": 0}, "steps must be"),
        ({"ratio": 0.5, "least_kept": 2.0}, "least_kept must be"),
        ({"ratio": 0.5, "scope": "planet"}, "scope must be"),
        ({"macs": 0.01}, "cannot be reached"),
        ({"instructions": 0.5}, "estimated for a target"),
        ({"ratio": 0.5, "criterion": lambda p, g: torch.zeros(3)}, "one finite number"),
        ({"ratio": 0.5, "criterion": lambda p, g: torch.full((g.size,), torch.nan)}, "one finite"),
    ],
)
def test_refusals(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        prune(cnn(), **options)


def test_the_programs_text() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    pruned = prune(trace(model, (torch.randn(1, 4),)), ratio=0.5)
    lines: Sequence[str] = str(pruned).splitlines()
    assert lines[1].endswith("f32[1,4]")
    assert lines[3].endswith("f32[1,2]")


@pytest.mark.slow
@pytest.mark.parametrize("make", [cnn, transformer])
def test_the_pruned_program_compiles_and_computes_the_same(make: Any) -> None:
    program = make()
    pruned = prune(program, macs=0.5, calibration=data(program), target="host")
    x = data(program, 1, 1)[0]
    artifact = penjing.compile(pruned, target="host")
    np.testing.assert_allclose(artifact.run(x)[0], pruned.run(x).numpy(), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
@pytest.mark.qemu
def test_instructions_fall_with_the_work() -> None:
    torch.manual_seed(0)
    layers = [nn.Conv2d(16, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 1), nn.ReLU()]
    model = nn.Sequential(*layers, nn.Conv2d(64, 16, 3, padding=1))
    x = torch.randn(1, 16, 24, 24)
    program = trace(model.eval(), (x,))
    pruned = prune(program, macs=0.5, target="arm-a72")
    executed = [
        penjing.compile(each, target="arm-a72").count_instructions(x) for each in (pruned, program)
    ]
    assert executed[0] / executed[1] == pytest.approx(work(pruned) / work(program), abs=0.1)
    estimated = prune(program, instructions=0.5, target="arm-a72")
    count = penjing.compile(estimated, target="arm-a72").count_instructions(x)
    assert count / executed[1] == pytest.approx(0.5, abs=0.05)


def test_the_report_says_if_the_result_is_slower() -> None:
    torch.manual_seed(0)
    depthwise = nn.Conv2d(32, 32, 3, padding=1, groups=32)
    model = nn.Sequential(nn.Conv2d(3, 32, 1), depthwise, nn.ReLU(), nn.Conv2d(32, 4, 1))
    program = trace(model.eval(), (torch.randn(1, 3, 14, 14),))
    pruned = prune(program, ratio=1 / 32, round_to=1, target="arm-a72")
    assert list(kept(pruned).values()) == [(31, 32)]
    assert any("more instructions" in note for note in pruned.reports[-1].details["notes"])
    edge = prune(program, ratio=4 / 32, target="arm-a72")
    assert list(kept(edge).values()) == [(28, 32)]
    assert edge.reports[-1].details["notes"] == []


def test_a_model_without_groups_says_why() -> None:
    program = trace(nn.Linear(4, 3), (torch.randn(1, 4),))
    untouched = prune(program, ratio=0.5)
    assert untouched.reports[-1].rewrites == 0
    (locked,) = untouched.reports[-1].details["locked"]
    assert locked["reason"] == "it is an output of the program"
    with pytest.raises(CompileError, match="cannot be reached"):
        prune(program, macs=0.5)


def test_groups_that_a_criterion_does_not_know_are_left_alone() -> None:
    pruned = prune(cnn(), ratio=0.5, criterion="bn-scale")
    left = {name for name, (units, size) in kept(pruned).items() if units < size}
    assert left == {"0"}  # the only channels that go through a batch norm
    assert {skip.reason for skip in pruned.reports[-1].skips} == {"bn-scale says nothing about it"}
