import copy
import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from penjing.compiler.batched_run import run_batched
from penjing.compiler.batches import Batch
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program, origin_of
from penjing.compiler.pass_manager import optimize
from penjing.compiler.pass_text import parse
from penjing.compiler.training import Callback, Training, keep_zeros
from penjing.passes import Distill
from penjing.passes.distillation.attention_maps import attentions
from penjing.passes.distillation.hidden_states import hidden_states, pair_by_origin
from penjing.passes.distillation.losses import (
    attention_divergence,
    cross_entropy,
    directions,
    distance,
    divergence,
    similarities,
    squared_error,
)
from penjing.passes.distillation.teacher import Teacher

TOKENS, WIDTH = 6, 8


class Block(nn.Module):
    """Attention and a feed-forward part, pre-norm; `width` of the residual stream."""

    def __init__(self, width: int = WIDTH) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.qkv = nn.Linear(width, 3 * width)
        self.up, self.down = nn.Linear(width, 16), nn.Linear(16, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        q, k, v = self.qkv(self.norms[0](x)).unflatten(2, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        x = x + seen.transpose(1, 2).flatten(2)
        x += self.down(functional.gelu(self.up(self.norms[1](x))))
        return x


class Encoder(nn.Module):
    """Token ids and mask [N,T] -> mean of the tokens that the mask shows, [N,3]."""

    def __init__(self, blocks: int = 3, width: int = WIDTH) -> None:
        super().__init__()
        self.table = nn.Embedding(11, width)
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.head = nn.Linear(width, 3)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        x = self.table(ids)
        for block in self.blocks:
            x = block(x, mask[:, None, None])
        mean = (x * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
        result: Tensor = self.head(mean)
        return result


class Same(nn.Module):
    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return x


def _inputs(count: int, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, 11, (count, TOKENS), generator=generator)
    lengths = torch.randint(2, TOKENS + 1, (count, 1), generator=generator)
    return ids, torch.arange(TOKENS) < lengths


def _encoder(width: int = WIDTH) -> Encoder:
    torch.manual_seed(0)
    return Encoder(width=width).eval()


@cache
def _teacher() -> Program:
    return trace(_encoder(), _inputs(1))


@cache
def _student() -> Program:
    """The teacher without its second block."""
    model = _encoder()
    model.blocks[1] = Same()
    return trace(model, _inputs(1))


@cache
def _narrow() -> Program:
    return trace(_encoder(width=4), _inputs(1))


def _data(count: int = 32) -> list[tuple[Tensor, Tensor]]:
    ids, mask = _inputs(count)
    return list(zip(ids.split(1), mask.split(1), strict=True))


def _distill(student: Program, *, data: Any = None, **options: Any) -> Program:
    settings = {
        "teacher": _teacher(),
        "epochs": 6,
        "batch_size": 8,
        "lr": 3e-3,
        "embeddings": "train",
        **options,
    }
    return optimize(student, [Distill(**settings)], calibration=_data() if data is None else data)


def _error(program: Program, teacher: Program | None = None, seed: int = 7) -> float:
    """Relative error on samples that were not trained on."""
    with torch.no_grad():
        ours, theirs = (
            run_batched(one, _inputs(64, seed)).outputs[0]
            for one in (program, teacher or _teacher())
        )
    return float((ours - theirs).norm() / theirs.norm())


def _details(program: Program) -> dict[str, Any]:
    return program.reports[-1].details


def test_a_student_comes_nearer_to_its_teacher() -> None:
    before, teacher = _error(_student()), copy.deepcopy(_teacher())
    program = _distill(_student())
    assert _error(program) < 0.5 * before
    details = _details(program)
    assert details["hidden_states"] == 6
    report = program.reports[-1]
    assert report.before is not None and report.after is not None
    assert report.after.parameters == report.before.parameters
    assert details["validation"][-1][1] < details["validation"][0][1]
    assert details["loss"][-1] < details["loss"][0]
    assert program.reports[-1].rewrites > 10
    for name, weight in _teacher().weights.items():
        assert torch.equal(weight, teacher.weights[name])


def test_the_teacher_is_the_program_before_the_first_pass() -> None:
    program = optimize(_teacher(), [_Blunt(), Distill(epochs=4, lr=3e-3)], calibration=_data())
    blunt = optimize(_teacher(), [_Blunt()])
    assert _error(program) < 0.5 * _error(blunt)


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
        {"batch_size": 0, "validation": _data(8)},
    ],
    ids=str,
)
def test_every_loss_brings_the_student_nearer(options: dict[str, Any]) -> None:
    if options.get("batch_size") == 0:
        ids, mask = _inputs(32)
        options = {**options, "data": list(zip(ids.split(8), mask.split(8), strict=True))}
    program = _distill(_student(), **options)
    assert _error(program) < 0.75 * _error(_student())


def test_similarities_to_other_samples_are_learned() -> None:
    def error(program: Program) -> float:
        ids = _inputs(32)
        with torch.no_grad():
            ours, theirs = (run_batched(p, ids).outputs[0] for p in (program, _teacher()))
        anchors = directions(theirs)
        return float((similarities(ours, anchors) - similarities(theirs, anchors)).square().mean())

    alone = {"output": "none", "hidden_weight": 0.0, "relation_weight": 1.0, "epochs": 10}
    assert error(_distill(_student(), **alone)) < 0.5 * error(_student())
    assert error(_distill(_student(), **alone, batch_size=1)) < 0.5 * error(_student())


def test_anchors_leave_the_random_numbers_of_the_caller() -> None:
    loader = DataLoader(TensorDataset(*_inputs(16)), batch_size=8, shuffle=True)
    common: dict[str, Any] = {"teacher": _teacher(), "validation": _data(8), "epochs": 1}
    student = _student()
    before = torch.get_rng_state()
    optimize(student, [Distill(data=loader, batch_size=0, relation_weight=1.0, **common)])
    assert torch.equal(torch.get_rng_state(), before)


def test_similarities_are_cosines() -> None:
    anchors = directions(torch.tensor([[3.0, 4.0], [0.0, -2.0]]))
    found = similarities(torch.tensor([[[5.0], [0.0]]]), anchors)
    torch.testing.assert_close(found, torch.tensor([[0.6, 0.0]]))


def test_narrow_states_are_projected() -> None:
    before = _error(_narrow())
    random_state = torch.get_rng_state()
    program = _distill(_narrow(), epochs=10)
    assert _details(program)["hidden_states"] == 8
    assert _error(program) < 0.75 * before
    assert set(program.weights) == set(_narrow().weights)  # the projections are gone
    assert torch.equal(torch.get_rng_state(), random_state)


def test_labels_are_mixed_in() -> None:
    ids, mask = _inputs(48)
    labels = (ids * mask).sum(1) // mask.sum(1) // 4
    pairs = list(zip(zip(ids.split(4), mask.split(4), strict=True), labels.split(4), strict=True))
    options = {"label_weight": 1.0, "output_weight": 0.0, "hidden_weight": 0.0, "epochs": 30}
    program = _distill(_student(), data=pairs, **options)
    with torch.no_grad():
        output = run_batched(program, (ids, mask)).outputs[0]
        before = run_batched(_student(), (ids, mask)).outputs[0]
    assert functional.cross_entropy(output, labels) < 0.8 * functional.cross_entropy(before, labels)


def test_a_loss_of_the_user_sees_outputs_and_labels() -> None:
    seen: list[tuple[Any, Any]] = []

    def loss(outputs: list[Tensor], labels: object) -> Tensor:
        seen.append((outputs[0].shape, labels))
        return outputs[0].square().mean()

    ids, mask = _inputs(8)
    data = [((ids[i : i + 1], mask[i : i + 1]), f"sample {i}") for i in range(8)]
    _distill(_student(), data=data, label_weight=0.1, label_loss=loss, batch_size=4, epochs=1)
    assert seen[0][0] == (1, 3) or seen[0][0] == (4, 3)
    assert all(isinstance(label, str) for _, labels in seen for label in labels)


def test_results_repeat() -> None:
    first, second = (_distill(_student(), epochs=2) for _ in range(2))
    for name, weight in first.weights.items():
        assert torch.equal(weight, second.weights[name])


def test_a_resumed_run_gives_the_same(tmp_path: Path) -> None:
    class Interrupt(Callback):
        def on_step(self, training: Training) -> None:
            if training.step == 7:
                raise KeyboardInterrupt

    options = {"checkpoint": str(tmp_path / "run.pt"), "checkpoint_every": 2, "epochs": 3}
    whole = _distill(_narrow(), epochs=3)
    with pytest.raises(KeyboardInterrupt):
        _distill(_narrow(), callbacks=(Interrupt(),), **options)
    parts = _distill(_narrow(), callbacks=(Callback(),), **options)
    assert _details(parts)["loss"] == _details(whole)["loss"]
    for name, weight in whole.weights.items():
        assert torch.equal(weight, parts.weights[name])


def test_a_program_that_does_not_get_better_stays() -> None:
    program = _distill(_student(), lr=10.0, clip=0.0, warmup=0.0, epochs=1)
    report = program.reports[-1]
    assert report.rewrites == 0
    assert "no update made it better" in report.details["note"]
    for name, weight in _student().weights.items():
        assert torch.equal(weight, program.weights[name])


def test_a_program_like_its_teacher_stays() -> None:
    program = _distill(_teacher(), epochs=1)
    assert program.reports[-1].rewrites == 0


def test_marked_zeros_stay() -> None:
    student = _student().copy()
    (node,) = (n for n in student.graph.find_nodes(op="get_attr") if n.target == "head.weight")
    with torch.no_grad():
        student.weight(node)[:, ::2] = 0
    keep_zeros(student, node)
    weight = _distill(student).weights["head.weight"]
    assert not weight[:, ::2].any()
    assert weight[:, 1::2].all()


def test_accuracy_and_progress_are_told() -> None:
    told: list[tuple[str, float]] = []
    program = optimize(
        _student(),
        [Distill(teacher=_teacher(), epochs=1, lr=3e-3)],
        calibration=_data(),
        evaluate=lambda one: 1 - _error(one),
        progress=lambda stage, done: told.append((stage, done)),
    )
    report = program.reports[-1]
    assert report.before is not None and report.after is not None
    assert report.before.quality == pytest.approx(1 - _error(_student()))
    assert report.after.quality == pytest.approx(1 - _error(program))
    assert ("distill: teacher", 1.0) in told
    assert ("distill: training", 1.0) in told


def test_callbacks_of_the_user_are_called() -> None:
    class Stop(Callback):
        def on_step(self, training: Training) -> None:
            training.stop()

    program = _distill(_student(), callbacks=(Stop(),))
    assert _details(program)["steps"] == 1


def test_options_have_a_text_form() -> None:
    (parsed,) = parse("distill{epochs=3,output=kl,temperature=4.0,freeze=(table,head),lr=0.001}")
    options = {"epochs": 3, "output": "kl", "temperature": 4.0, "lr": 0.001}
    assert parsed == Distill(freeze=("table", "head"), **options)  # type: ignore[arg-type]
    assert parse(str(parsed)) == [parsed]
    program = optimize(
        _student(), "distill{epochs=1,freeze=(table)}", calibration=_data()
    )  # it is its own teacher
    assert program.reports[-1].rewrites == 0


def test_reports_are_plain_data() -> None:
    program = _distill(_student(), epochs=1, callbacks=(Callback(),))
    report = json.loads(json.dumps(program.reports[-1].as_dict()))
    assert report["options"]["teacher"] == "<Program>"
    assert report["options"]["callbacks"] == ["<Callback>"]
    assert report["options"]["epochs"] == 1


def test_data_is_needed() -> None:
    with pytest.raises(CompileError, match="distill needs calibration data"):
        optimize(_student(), [Distill(teacher=_teacher())])


def test_a_teacher_is_needed() -> None:
    with pytest.raises(CompileError, match="distill needs the original program"):
        Distill(data=_data()).run(_student().copy())


def test_a_teacher_of_another_shape_is_refused() -> None:
    other = trace(_encoder(), tuple(torch.cat([x, x]) for x in _inputs(1)))
    with pytest.raises(CompileError, match="the teacher has other inputs than the program"):
        _distill(_student(), teacher=other)


def test_data_of_another_shape_is_refused() -> None:
    ids, mask = _inputs(4)
    with pytest.raises(CompileError, match=r"input ids must be i64\[1,6\]"):
        _distill(_student(), data=[(ids[:, :3], mask[:, :3])])


def test_a_loss_that_is_not_finite_names_its_update() -> None:
    def loss(outputs: list[Tensor], labels: object) -> Tensor:
        return outputs[0].sum() * float("nan")

    ids, mask = _inputs(4)
    data = [((ids, mask), torch.zeros(4))]
    with pytest.raises(CompileError, match="the loss of update 1 is no finite number"):
        _distill(_student(), data=data, label_weight=1.0, label_loss=loss)


def test_labels_that_are_missing_are_named() -> None:
    with pytest.raises(CompileError, match="there are no labels to mix in"):
        _distill(_student(), label_weight=1.0)


def test_blockwise_needs_blocks_in_common() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.Tanh())
    flat = trace(model, (torch.zeros(1, 4),))
    with pytest.raises(CompileError, match="no blocks that the program and its teacher share"):
        optimize(flat, [Distill(mode="blockwise")], calibration=[torch.zeros(4, 4)])


def test_attention_needs_attention() -> None:
    flat = trace(nn.Linear(4, 8), (torch.zeros(1, 4),))
    with pytest.raises(CompileError, match="no attention maps"):
        optimize(flat, [Distill(attention_weight=1.0)], calibration=[torch.zeros(4, 4)])


def test_a_device_is_needed() -> None:
    with pytest.raises(CompileError, match="cannot train on device 'nowhere'"):
        _distill(_student(), device="nowhere")


def test_batches_as_they_come_need_validation() -> None:
    with pytest.raises(CompileError, match="needs validation data"):
        _distill(_student(), batch_size=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mode": "both"}, "mode must be one of"),
        ({"output": "l1"}, "output must be one of"),
        ({"temperature": 0.0}, "temperature must be positive"),
        ({"hidden_weight": -1.0}, "hidden_weight must be 0 or more"),
        ({"validation_part": 1.0}, "validation_part"),
        ({"output": "none", "hidden_weight": 0.0}, "no loss is left"),
        ({"epochs": 0}, "epochs must be at least 1"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        Distill(**options)


def test_states_are_the_residual_stream_and_pair_by_their_place() -> None:
    states, theirs = hidden_states(_student()), hidden_states(_teacher())
    assert [origin_of(node).module_path for node in states] == [
        "table", "blocks.0", "blocks.0", "blocks.2", "blocks.2", "",
    ]  # fmt: skip
    pairs, skipped = pair_by_origin(states, theirs)
    assert not skipped
    assert [theirs.index(pair.teacher) for pair in pairs] == [0, 1, 2, 5, 6, 7]


def test_a_state_before_a_gap_is_paired_with_the_nearest_of_the_teacher() -> None:
    """Where the block before a removed one does its work too, it should keep doing so."""
    program = _distill(_student(), epochs=1)
    assert program.reports[-1].details["hidden_states"] == 6


def test_padding_has_no_importance() -> None:
    """No output depends on it, so nothing has to be learned there."""
    states = hidden_states(_teacher())[1:4]
    ids, mask = _inputs(5)
    answer = Teacher(_teacher(), states, [], 0).answer(Batch((ids, mask), None, 5))
    for node in states:
        expected = mask / mask.sum(1, keepdim=True)
        torch.testing.assert_close(answer.importance[node], expected)


def test_a_teacher_is_asked_once_about_each_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    ids, mask = _inputs(6)
    teacher = Teacher(_teacher(), hidden_states(_teacher()), [], 1 << 20)
    first = teacher.answer(Batch((ids, mask), None, 6))
    monkeypatch.setattr(Teacher, "_ask", None)
    order = torch.tensor([4, 0, 5])
    again = teacher.answer(Batch((ids[order], mask[order]), None, 3))
    assert torch.equal(again.outputs[0], first.outputs[0][order])
    for node, value in first.values.items():
        assert torch.equal(again.values[node], value[order])


def test_a_teacher_remembers_no_more_than_allowed() -> None:
    ids, mask = _inputs(6)
    teacher = Teacher(_teacher(), hidden_states(_teacher()), [], 0)
    for _ in range(2):
        answer = teacher.answer(Batch((ids, mask), None, 6))
        with torch.no_grad():
            run = run_batched(_teacher(), (ids, mask), keep=teacher.states)
        assert torch.equal(answer.outputs[0], run.outputs[0])
        for node, value in answer.values.items():
            torch.testing.assert_close(value.float(), run.kept[node], rtol=2**-11, atol=1e-6)


def test_a_teacher_never_answers_in_half_precision() -> None:
    batch = Batch(_inputs(6), None, 6)
    with torch.no_grad():
        expected = run_batched(_teacher(), batch.inputs).outputs[0]
    with torch.autocast("cpu", torch.bfloat16):
        answer = Teacher(_teacher(), hidden_states(_teacher()), [], 0).answer(batch)
    assert torch.equal(answer.outputs[0], expected)


def test_attention_maps_are_those_that_attention_uses() -> None:
    ids, mask = _inputs(5)
    for one in attentions(_teacher()):
        value = one.node.args[2]
        assert isinstance(value, torch.fx.Node)
        with torch.no_grad():
            run = run_batched(_teacher(), (ids, mask), keep=[*one.reads, value, one.node])
        torch.testing.assert_close(one.map(run.kept) @ run.kept[value], run.kept[one.node])


class Causal(nn.Module):
    def __init__(self, causal: bool, mask: bool) -> None:
        super().__init__()
        self.causal, self.mask = causal, mask

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        mask = (q @ k.transpose(2, 3)) * 0.3 if self.mask else None
        return functional.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, is_causal=self.causal, scale=0.4
        )


@pytest.mark.parametrize(("causal", "mask"), [(True, False), (False, True)])
def test_attention_maps_know_scales_and_masks(causal: bool, mask: bool) -> None:
    q, k, v = torch.randn(3, 2, 2, 5, 4, generator=torch.Generator().manual_seed(0))
    program = trace(Causal(causal, mask), (q[:1], k[:1], v[:1]))
    (one,) = attentions(program)
    run = run_batched(program, (q, k, v), keep=[*one.reads, one.node])
    torch.testing.assert_close(one.map(run.kept) @ v, run.kept[one.node])


def test_the_losses_are_those_of_their_papers() -> None:
    ours, theirs = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0))
    expected = 9 * functional.kl_div(
        (ours / 3).log_softmax(1), (theirs / 3).softmax(1), reduction="batchmean"
    )
    torch.testing.assert_close(divergence(ours, theirs, 3.0), expected)
    size = theirs.square().mean()
    assert squared_error(theirs, theirs, size) == 0
    torch.testing.assert_close(squared_error(0 * theirs, theirs, size), torch.tensor(1.0))
    torch.testing.assert_close(distance(-2 * theirs, theirs), torch.tensor(2.0))
    logits, labels = torch.randn(2, 5, 3, 3), torch.randint(0, 5, (2, 3, 3))
    torch.testing.assert_close(
        cross_entropy([logits], labels), functional.cross_entropy(logits, labels)
    )


def test_maps_with_pruned_heads_are_compared_by_their_mean() -> None:
    theirs = torch.rand(2, 4, 3, 3).softmax(-1)
    assert attention_divergence(theirs.mean(1, keepdim=True), theirs).abs() < 1e-6
    assert attention_divergence(theirs.flip(3), theirs) > 1e-3


def test_cross_entropy_needs_classes() -> None:
    with pytest.raises(CompileError, match="a class for every row of logits"):
        cross_entropy([torch.zeros(2, 5)], torch.zeros(2, 5))


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
