from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from penjing import compile
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize
from penjing.compiler.pass_text import parse
from penjing.passes import Distill, PruneWeights


def _program() -> Program:
    return _traced().copy()


@cache
def _traced() -> Program:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(4, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(54, 10)
    )
    return trace(model.eval(), (torch.zeros(1, 4, 3, 3),))


def _pruned(program: Program | None = None, **options: Any) -> Program:
    return optimize(program or _program(), [PruneWeights(**options)])


def _zeros(program: Program, name: str) -> float:
    return float((program.weights[name] == 0).double().mean())


def _smallest_kept_and_largest_gone(before: Tensor, after: Tensor) -> tuple[float, float]:
    before, gone = before.detach(), after == 0
    return float(before[~gone].abs().min()), float(before[gone].abs().max())


def test_the_smallest_of_all_layers_become_zero() -> None:
    before, after = _program(), _pruned(ratio=0.6)
    names = ("0.weight", "4.weight")
    joined = [torch.cat([p.weights[n].detach().flatten() for n in names]) for p in (before, after)]
    assert int((joined[1] == 0).sum()) == round(0.6 * joined[1].numel())
    kept, gone = _smallest_kept_and_largest_gone(*joined)
    assert gone <= kept
    assert _zeros(after, "0.weight") != _zeros(after, "4.weight")
    for name, weight in before.weights.items():
        if name not in names:
            assert torch.equal(weight, after.weights[name])
    kept_values = joined[1] != 0
    assert torch.equal(joined[1][kept_values], joined[0][kept_values])


def test_the_smallest_of_each_layer_become_zero() -> None:
    before, after = _program(), _pruned(ratio=0.25, scope="layer")
    for name in ("0.weight", "4.weight"):
        assert _zeros(after, name) == 0.25
        kept, gone = _smallest_kept_and_largest_gone(before.weights[name], after.weights[name])
        assert gone <= kept


def test_all_below_a_threshold_become_zero() -> None:
    before, after = _program(), _pruned(threshold=0.1)
    for name in ("0.weight", "4.weight"):
        old = before.weights[name]
        assert torch.equal(after.weights[name], old * (old.abs() >= 0.1))


def test_no_layer_is_emptied() -> None:
    program = _program()
    with torch.no_grad():
        program.weights["4.weight"].mul_(1e-3)
    after = _pruned(program, ratio=0.9, least_kept=0.1)
    assert _zeros(after, "4.weight") == pytest.approx(0.9)
    assert _zeros(_pruned(program, ratio=0.72, least_kept=0.0), "4.weight") == 1


@pytest.mark.parametrize(("pattern", "kept", "size"), [("2:4", 2, 4), ("1:3", 1, 3)])
def test_patterns_keep_the_largest_of_successive_inputs(pattern: str, kept: int, size: int) -> None:
    before, after = _program(), _pruned(pattern=pattern)
    for name in ("0.weight", "4.weight"):
        old = before.weights[name].detach().movedim(1, -1).flatten(0, -2)
        new = after.weights[name].detach().movedim(1, -1).flatten(0, -2)
        whole = old.shape[1] // size * size
        for start in range(0, whole, size):
            group, rest = old[:, start : start + size], new[:, start : start + size]
            assert ((rest != 0).sum(1) == kept).all()
            least = group.abs().sort(1).values[:, size - kept]
            assert torch.equal(rest, group * (group.abs() >= least[:, None]))
        assert torch.equal(new[:, whole:], old[:, whole:])


def test_patterns_of_transposed_convolutions_follow_their_inputs() -> None:
    program = trace(nn.ConvTranspose2d(4, 3, 2), (torch.zeros(1, 4, 3, 3),))
    weight = _pruned(program, pattern="1:4").weights["weight"]
    assert ((weight != 0).sum(0) == 1).all()


def test_weights_without_enough_inputs_are_skipped() -> None:
    program = trace(nn.Conv2d(4, 4, 3, groups=4), (torch.zeros(1, 4, 3, 3),))
    report = _pruned(program, pattern="2:4").reports[-1]
    assert report.rewrites == 0
    assert [skip.reason for skip in report.skips] == ["1 inputs are fewer than 4"]


def test_layers_can_be_chosen_and_protected() -> None:
    assert _zeros(_pruned(only=("4",)), "0.weight") == 0
    assert _zeros(_pruned(only=("4",)), "4.weight") == 0.5
    assert _zeros(_pruned(protect=("4.weight",)), "4.weight") == 0
    assert _zeros(_pruned(protect=("4.weight",)), "0.weight") == 0.5


def test_the_report_says_what_it_does_and_what_not() -> None:
    details = _pruned(ratio=0.75, scope="layer").reports[-1].details
    assert details["zeros"] == 0.75
    assert details["layers"]["4.weight"] == {"elements": 540, "zeros": 405}
    others = 4 * (6 + 10 + 4 * 6)  # biases and the batch norm
    assert details["weight_bytes"] == 4 * (540 + 216) + others
    assert details["bitmap_bytes"] == 4 * (135 + 54) + 68 + 27 + others
    assert "nothing gets faster or smaller" in details["note"]


def test_a_library_with_zeros_is_as_large_as_one_without() -> None:
    """What the report says of dense kernels is so."""
    model = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 8))
    x = (torch.randn(1, 16),)
    dense = compile(model, x, target="host")
    pruned = compile(model, x, target="host", passes="prune-weights{ratio=0.9}")
    for size in ("weights_bytes", "code_bytes", "macs"):
        assert getattr(pruned.report, size) == getattr(dense.report, size)


def test_zeros_stay_in_training() -> None:
    program, data = _program(), [torch.randn(4, 4, 3, 3) for _ in range(6)]
    passes = [PruneWeights(ratio=0.8, scope="layer"), Distill(epochs=20, batch_size=8, lr=3e-3)]
    pruned, trained = (optimize(program, passes[:n], calibration=data) for n in (1, 2))
    assert trained.reports[-1].rewrites > 0
    for name in ("0.weight", "4.weight"):
        left, right = pruned.weights[name], trained.weights[name]
        assert torch.equal(left != 0, right != 0)
        assert (left != right)[left != 0].any()


def test_zeros_survive_other_passes() -> None:
    program = optimize(
        _program(), [PruneWeights(ratio=0.5, scope="layer"), *parse("fold-batch-norm")]
    )
    assert _zeros(program, "0.weight") == 0.5


def test_pruning_again_changes_nothing() -> None:
    assert _pruned(_pruned(ratio=0.5), ratio=0.5).reports[-1].rewrites == 0
    assert _pruned(_pruned(ratio=0.5), ratio=0.7).reports[-1].rewrites == 2


def test_a_program_without_layers_stays() -> None:
    assert _pruned(trace(nn.ReLU(), (torch.zeros(2),))).reports[-1].rewrites == 0


def test_the_text_form() -> None:
    (parsed,) = parse('prune-weights{pattern="2:4",scope=layer,protect=(head),threshold=none}')
    assert parsed == PruneWeights(pattern="2:4", scope="layer", protect=("head",))
    assert parse(str(parsed)) == [parsed]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ratio": 1.5}, "ratio must be between 0 and 1"),
        ({"least_kept": -0.1}, "least_kept must be between 0 and 1"),
        ({"threshold": -1.0}, "threshold must be 0 or more"),
        ({"scope": "model"}, "scope must be global or layer"),
        ({"pattern": "4:2"}, "the pattern must be n:m"),
        ({"pattern": "half"}, "the pattern must be n:m"),
        ({"only": ("5",)}, "no weight or module is named '5'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        _pruned(**options)
