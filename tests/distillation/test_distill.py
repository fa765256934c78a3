import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from penjing.compiler.batched_run import run_batched
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize
from penjing.compiler.training import Callback, Training, keep_zeros
from penjing.passes import Distill
from penjing.passes.distillation.losses import directions, similarities
from tests.distillation.students import (
    details_of,
    distilled,
    error_of,
    narrow_student,
    samples,
    shorter_student,
    the_teacher,
    token_batch,
)


def test_a_student_comes_nearer_to_its_teacher() -> None:
    before, teacher = error_of(shorter_student()), copy.deepcopy(the_teacher())
    program = distilled(shorter_student())
    assert error_of(program) < 0.5 * before
    details = details_of(program)
    assert details["hidden_states"] == 6
    report = program.reports[-1]
    assert report.before is not None and report.after is not None
    assert report.after.parameters == report.before.parameters
    assert details["validation"][-1][1] < details["validation"][0][1]
    assert details["loss"][-1] < details["loss"][0]
    assert program.reports[-1].rewrites > 10
    for name, weight in the_teacher().weights.items():
        assert torch.equal(weight, teacher.weights[name])


def test_the_teacher_is_the_program_before_the_first_pass() -> None:
    program = optimize(the_teacher(), [_Blunt(), Distill(epochs=4, lr=3e-3)], calibration=samples())
    blunt = optimize(the_teacher(), [_Blunt()])
    assert error_of(program) < 0.5 * error_of(blunt)


class _Blunt(Distill):
    """Halves the weights of the feed-forward parts."""

    name = "blunt-weights"

    def run(self, program: Program) -> int:
        nodes = program.graph.find_nodes(op="get_attr")
        chosen = [node for node in nodes if str(node.target).endswith("down.weight")]
        for node in chosen:
            program.replace_weight(node, nn.Parameter(program.weight(node).detach() * 0.5))
        return len(chosen)


@pytest.mark.parametrize(
    "options",
    [
        {"mode": "blockwise"},
        {"output": "cosine"},
        {"output": "kl", "temperature": 3.0},
        {"output": "none"},
        {"attention_weight": 1.0},
        {"relation_weight": 1.0},
        {"hidden_weight": 0.0},
        {"precision": "bfloat16"},
        {"optimizer": "muon"},
        {"accumulate": 2},
        {"batch_size": 0, "validation": samples(8)},
    ],
    ids=str,
)
def test_every_loss_brings_the_student_nearer(options: dict[str, Any]) -> None:
    if options.get("batch_size") == 0:
        ids, mask = token_batch(32)
        options = {**options, "data": list(zip(ids.split(8), mask.split(8), strict=True))}
    program = distilled(shorter_student(), **options)
    assert error_of(program) < 0.75 * error_of(shorter_student())


def test_similarities_to_other_samples_are_learned() -> None:
    def error(program: Program) -> float:
        ids = token_batch(32)
        with torch.no_grad():
            ours, theirs = (run_batched(p, ids).outputs[0] for p in (program, the_teacher()))
        anchors = directions(theirs)
        return float((similarities(ours, anchors) - similarities(theirs, anchors)).square().mean())

    alone = {"output": "none", "hidden_weight": 0.0, "relation_weight": 1.0, "epochs": 10}
    assert error(distilled(shorter_student(), **alone)) < 0.5 * error(shorter_student())
    assert error(distilled(shorter_student(), **alone, batch_size=1)) < 0.5 * error(
        shorter_student()
    )


def test_anchors_leave_the_random_numbers_of_the_caller() -> None:
    loader = DataLoader(TensorDataset(*token_batch(16)), batch_size=8, shuffle=True)
    common: dict[str, Any] = {"teacher": the_teacher(), "validation": samples(8), "epochs": 1}
    student = shorter_student()
    before = torch.get_rng_state()
    optimize(student, [Distill(data=loader, batch_size=0, relation_weight=1.0, **common)])
    assert torch.equal(torch.get_rng_state(), before)


def test_the_report_says_how_many_samples_the_teacher_remembers() -> None:
    remembered = [
        details_of(distilled(shorter_student(), epochs=1, cache_bytes=size))["remembered"]
        for size in (0, 10_000, 1 << 20)
    ]
    assert remembered[0] == 0
    assert 0 < remembered[1] < 32
    assert remembered[2] == 32


def test_narrow_states_are_projected() -> None:
    before = error_of(narrow_student())
    random_state = torch.get_rng_state()
    program = distilled(narrow_student(), epochs=10)
    assert details_of(program)["hidden_states"] == 8
    assert error_of(program) < 0.75 * before
    assert set(program.weights) == set(narrow_student().weights)  # the projections are gone
    assert torch.equal(torch.get_rng_state(), random_state)


def test_labels_are_mixed_in() -> None:
    ids, mask = token_batch(48)
    labels = (ids * mask).sum(1) // mask.sum(1) // 4
    pairs = list(zip(zip(ids.split(4), mask.split(4), strict=True), labels.split(4), strict=True))
    options = {"label_weight": 1.0, "output_weight": 0.0, "hidden_weight": 0.0, "epochs": 30}
    program = distilled(shorter_student(), data=pairs, **options)
    with torch.no_grad():
        output = run_batched(program, (ids, mask)).outputs[0]
        before = run_batched(shorter_student(), (ids, mask)).outputs[0]
    assert functional.cross_entropy(output, labels) < 0.8 * functional.cross_entropy(before, labels)


def test_a_loss_of_the_user_sees_outputs_and_labels() -> None:
    seen: list[tuple[Any, Any]] = []

    def loss(outputs: list[Tensor], labels: object) -> Tensor:
        seen.append((outputs[0].shape, labels))
        return outputs[0].square().mean()

    ids, mask = token_batch(8)
    data = [((ids[i : i + 1], mask[i : i + 1]), f"sample {i}") for i in range(8)]
    distilled(
        shorter_student(), data=data, label_weight=0.1, label_loss=loss, batch_size=4, epochs=1
    )
    assert seen[0][0] == (1, 3) or seen[0][0] == (4, 3)
    assert all(isinstance(label, str) for _, labels in seen for label in labels)


def test_results_repeat() -> None:
    first, second = (distilled(shorter_student(), epochs=2) for _ in range(2))
    for name, weight in first.weights.items():
        assert torch.equal(weight, second.weights[name])


def test_a_resumed_run_gives_the_same(tmp_path: Path) -> None:
    class Interrupt(Callback):
        def on_step(self, training: Training) -> None:
            if training.step == 7:
                raise KeyboardInterrupt

    options = {"checkpoint": str(tmp_path / "run.pt"), "checkpoint_every": 2, "epochs": 3}
    whole = distilled(narrow_student(), epochs=3)
    with pytest.raises(KeyboardInterrupt):
        distilled(narrow_student(), callbacks=(Interrupt(),), **options)
    parts = distilled(narrow_student(), callbacks=(Callback(),), **options)
    assert details_of(parts)["loss"] == details_of(whole)["loss"]
    for name, weight in whole.weights.items():
        assert torch.equal(weight, parts.weights[name])


def test_a_program_that_does_not_get_better_stays() -> None:
    program = distilled(shorter_student(), lr=10.0, clip=0.0, warmup=0.0, epochs=1)
    report = program.reports[-1]
    assert report.rewrites == 0
    assert "no update made it better" in report.details["note"]
    for name, weight in shorter_student().weights.items():
        assert torch.equal(weight, program.weights[name])


def test_a_program_like_its_teacher_stays() -> None:
    program = distilled(the_teacher(), epochs=1)
    assert program.reports[-1].rewrites == 0


def test_marked_zeros_stay() -> None:
    student = shorter_student().copy()
    (node,) = (n for n in student.graph.find_nodes(op="get_attr") if n.target == "head.weight")
    with torch.no_grad():
        student.weight(node)[:, ::2] = 0
    keep_zeros(student, node)
    weight = distilled(student).weights["head.weight"]
    assert not weight[:, ::2].any()
    assert weight[:, 1::2].all()


class Features(nn.Module):
    """A convolutional network with a shortcut and batch norms."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.block = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8))
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.relu(x + self.block(x))
        result: Tensor = self.head(x.mean((2, 3)))
        return result


def test_distillation_heals_pruned_channels() -> None:
    torch.manual_seed(0)
    program = trace(Features().eval(), (torch.zeros(1, 1, 6, 6),))
    data = torch.randn(48, 1, 6, 6, generator=torch.Generator().manual_seed(1)).split(6)
    passes = "prune-channels{ratio=0.5,refit=false}, distill{epochs=12,lr=0.01,hidden_weight=0.3}"
    report = optimize(program, passes, calibration=data).reports[-1]
    assert report.details["hidden_states"] == 3
    assert report.before is not None and report.before.error is not None
    assert report.after is not None and report.after.error is not None
    assert 0 < report.after.error < 0.5 * report.before.error
