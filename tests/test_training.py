import sys
from collections.abc import Iterator
from contextlib import nullcontext
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from penjing.compiler.batches import Batch
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.ir.verify import verify
from penjing.compiler.training import (
    Callback,
    ProgressBar,
    Regularizer,
    Samples,
    Training,
    TrainingOptions,
    keep_zeros,
    train,
)
from penjing.compiler.training.forward import Run

Data = list[tuple[Tensor, Tensor]]


def _model(norm: bool = False) -> nn.Module:
    torch.manual_seed(0)
    middle = [nn.BatchNorm1d(8)] if norm else []
    return nn.Sequential(nn.Linear(4, 8), *middle, nn.Tanh(), nn.Linear(8, 3)).eval()


def _program(norm: bool = False) -> Program:
    return _traced(norm).copy()


@cache
def _traced(norm: bool) -> Program:
    return trace(_model(norm), (torch.zeros(1, 4),))


def _data(count: int = 24, batch: int = 1) -> Data:
    """Points that a plane through the origin and a circle tell apart."""
    x = torch.randn(count, 4, generator=torch.Generator().manual_seed(1))
    y = (x[:, 0] > 0).long() + (x.square().sum(1) > 4).long()
    return list(zip(x.split(batch), y.split(batch), strict=True))


def _cross_entropy(run: Run, batch: Batch) -> Tensor:
    return functional.cross_entropy(run().outputs[0], batch.labels)


def _options(**changes: Any) -> TrainingOptions:
    return TrainingOptions(**{"epochs": 3, "batch_size": 8, "lr": 0.02, **changes})


def _weights(program: Program) -> dict[str, Tensor]:
    return {name: weight.detach().clone() for name, weight in program.weights.items()}


def _assert_same(left: Program, right: Program) -> None:
    for name, weight in _weights(left).items():
        assert torch.equal(weight, _weights(right)[name]), name


def _assert_near(left: Program, right: Program, tolerance: float = 1e-5) -> None:
    for name, weight in _weights(left).items():
        torch.testing.assert_close(weight, _weights(right)[name], rtol=0, atol=tolerance)


def test_training_lowers_the_loss_and_leaves_a_valid_program() -> None:
    program = _program()
    result = train(program, _cross_entropy, _data(), options=_options(epochs=30))
    assert result.steps == result.step == len(result.losses) == 90
    assert result.epoch == 30
    assert sum(result.losses[-3:]) < 0.5 * sum(result.losses[:3])
    assert not any(weight.grad is not None for weight in program.weights.values())
    verify(program)


def test_a_step_is_that_of_adamw_in_pytorch() -> None:
    model, data = _model(), _data(6, batch=6)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.5},
            {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
        ],
        lr=0.02,
    )
    program = _program()
    for _ in range(3):
        optimizer.zero_grad()
        functional.cross_entropy(model(data[0][0]), data[0][1]).backward()
        optimizer.step()
    options = _options(batch_size=0, weight_decay=0.5, clip=0.0, schedule="constant", warmup=0.0)
    train(program, _cross_entropy, data, options=options)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(program.weights[name], weight, rtol=0, atol=1e-6)


def test_a_step_with_muon_is_that_of_pytorch() -> None:
    model, data = _model(), _data(6, batch=6)
    matrices = [p for p in model.parameters() if p.dim() == 2]
    vectors = [p for p in model.parameters() if p.dim() == 1]
    scaled: dict[str, Any] = {"adjust_lr_fn": "match_rms_adamw", "ns_steps": 3}
    optimizers: list[torch.optim.Optimizer] = [
        torch.optim.Muon(matrices, lr=0.02, weight_decay=0.5, **scaled),
        torch.optim.AdamW(vectors, lr=0.02, weight_decay=0.0),
    ]
    for _ in range(3):
        model.zero_grad()
        functional.cross_entropy(model(data[0][0]), data[0][1]).backward()
        for optimizer in optimizers:
            optimizer.step()
    program = _program()
    still = {"clip": 0.0, "schedule": "constant", "warmup": 0.0}
    options = _options(optimizer="muon", batch_size=0, weight_decay=0.5, **still)
    train(program, _cross_entropy, data, options=options)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(program.weights[name], weight, rtol=0, atol=1e-6)


def test_equal_seeds_give_equal_weights_and_others_do_not() -> None:
    programs = [_program() for _ in range(3)]
    for program, seed in zip(programs, (5, 5, 6), strict=True):
        train(program, _cross_entropy, _data(), options=_options(seed=seed))
    _assert_same(programs[0], programs[1])
    with pytest.raises(AssertionError):
        _assert_same(programs[0], programs[2])


def test_training_leaves_the_random_numbers_of_the_caller() -> None:
    before = torch.get_rng_state()
    train(_program(), _cross_entropy, _data(), options=_options(epochs=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_accumulated_gradients_equal_those_of_a_large_batch() -> None:
    whole, parts, uneven = _program(), _program(), _program()
    options = {"batch_size": 0, "epochs": 4}
    train(whole, _cross_entropy, _data(24, batch=12), options=_options(**options))
    train(parts, _cross_entropy, _data(24, batch=3), options=_options(accumulate=4, **options))
    data = [(torch.cat([x for x, _ in group]), torch.cat([y for _, y in group])) for group in (
        _data()[:2], _data()[2:12], _data()[12:21], _data()[21:])]  # fmt: skip
    train(uneven, _cross_entropy, data, options=_options(accumulate=2, **options))
    _assert_near(whole, parts)
    _assert_near(whole, uneven)


def test_large_batches_equal_single_samples() -> None:
    """The same batches, given as one tensor each or put together from samples."""
    joined, single = _program(), _program()
    train(joined, _cross_entropy, _data(16, batch=16), options=_options(batch_size=0))
    train(single, _cross_entropy, _data(16), options=_options(batch_size=16))
    _assert_near(joined, single)


class _Interrupt(Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, training: Training) -> None:
        if training.step == self.step:
            raise KeyboardInterrupt


class _Noise(Regularizer):
    """Depends on random numbers and on its own history, both of which must be resumed."""

    def __init__(self) -> None:
        self.strength = torch.zeros(())

    def penalty(self, training: Training) -> Tensor:
        self.strength = self.strength + torch.rand(())
        weight = training.program.weights["0.weight"]
        return 0.01 * self.strength * weight.square().sum()

    def state(self) -> dict[str, Any]:
        return {"strength": self.strength}

    def restore(self, state: dict[str, Any]) -> None:
        self.strength = state["strength"]


@pytest.mark.parametrize("every", [0, 2])
@pytest.mark.parametrize("interrupted", [4, 5, 6])
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_a_resumed_run_equals_one_without_interruption(
    tmp_path: Path, every: int, interrupted: int, optimizer: str
) -> None:
    same = {"patience": 9, "optimizer": optimizer}
    options = _options(checkpoint=str(tmp_path / "run.pt"), checkpoint_every=every, **same)
    whole, parts = _program(norm=True), _program(norm=True)
    validation = _data()[:5]
    expected = train(
        whole, _cross_entropy, _data(), options=_options(**same), validation=validation,
        callbacks=[_Noise()],
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        train(
            parts, _cross_entropy, _data(), options=options, validation=validation,
            callbacks=[_Noise(), _Interrupt(interrupted)],
        )  # fmt: skip
    seen: list[int] = []
    parts = _program(norm=True)
    got = train(
        parts, _cross_entropy, _data(), options=options, validation=validation,
        callbacks=[_Noise(), _Steps(seen)],
    )  # fmt: skip
    assert 1 < seen[0] <= interrupted + 1
    assert got.losses == expected.losses
    assert got.validations == expected.validations
    _assert_same(whole, parts)


class _Steps(Callback):
    def __init__(self, seen: list[int]) -> None:
        self.seen = seen

    def on_step(self, training: Training) -> None:
        self.seen.append(training.step)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    options = _options(checkpoint=str(path))
    train(_program(), _cross_entropy, _data(), options=options)
    with pytest.raises(CompileError, match=r"lr=0\.02 instead of lr=0\.01"):
        train(_program(), _cross_entropy, _data(), options=_options(lr=0.01, checkpoint=str(path)))
    with pytest.raises(CompileError, match="another program"):
        train(_program(norm=True), _cross_entropy, _data(), options=options)
    path.write_bytes(b"something else")
    with pytest.raises(CompileError, match="cannot read a checkpoint"):
        train(_program(), _cross_entropy, _data(), options=options)


def test_the_best_weights_win_and_patience_stops_training() -> None:
    """A learning rate that is far too high makes every update worse than the beginning."""
    program = _program()
    train(program, _cross_entropy, _data(), options=_options(epochs=20))
    before = _weights(program)
    options = _options(epochs=50, lr=3.0, patience=3, clip=0.0, warmup=0.0)
    result = train(program, _cross_entropy, _data(), options=options, validation=_data())
    assert result.best is not None
    assert result.best.step == 0
    assert len(result.validations) == 4
    assert result.stopped
    assert result.epoch == 3
    for name, weight in program.weights.items():
        assert torch.equal(weight, before[name])


def test_the_last_weights_stay_where_asked_for() -> None:
    program = _program()
    options = _options(epochs=1, lr=3.0, warmup=0.0)
    before = _weights(program)
    train(program, _cross_entropy, _data(), options=options, validation=_data(), keep_best=False)
    assert not torch.equal(program.weights["0.weight"], before["0.weight"])


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_marked_zeros_stay_zero_and_all_else_changes(optimizer: str) -> None:
    program = _program()
    (node,) = (n for n in program.graph.find_nodes(op="get_attr") if n.target == "0.weight")
    mask = torch.rand(8, 4, generator=torch.Generator().manual_seed(0)) > 0.5
    with torch.no_grad():
        program.weight(node).mul_(mask)
    before = _weights(program)["0.weight"]
    keep_zeros(program, node)
    copied = program.copy()
    options = _options(weight_decay=0.5, optimizer=optimizer)
    train(copied, _cross_entropy, _data(), options=options)
    after = copied.weights["0.weight"]
    assert torch.equal(after != 0, mask)
    assert (after != before)[mask].all()
    assert (copied.weights["2.weight"] != program.weights["2.weight"]).all()


def test_marks_of_zeros_survive_a_file(tmp_path: Path) -> None:
    program = _program()
    (node,) = (n for n in program.graph.find_nodes(op="get_attr") if n.target == "2.weight")
    with torch.no_grad():
        program.weight(node)[0] = 0
    keep_zeros(program, node)
    program.save(tmp_path / "program.pt")
    loaded = Program.load(tmp_path / "program.pt")
    train(loaded, _cross_entropy, _data(), options=_options())
    assert not loaded.weights["2.weight"][0].any()
    assert loaded.weights["2.weight"][1:].all()


def test_batch_norms_learn_the_statistics_of_the_data_or_stay() -> None:
    data = [(x + 3, y) for x, y in _data()]
    trained, frozen = _program(norm=True), _program(norm=True)
    train(trained, _cross_entropy, data, options=_options(epochs=8))
    train(frozen, _cross_entropy, data, options=_options(epochs=8, batch_norm="frozen"))
    x = torch.cat([x for x, _ in data])
    mean = functional.linear(x, trained.weights["0.weight"], trained.weights["0.bias"]).mean(0)
    statistics = trained.weights["1.running_mean"]
    assert (statistics - mean).abs().max() < 0.3 * mean.abs().max()
    assert torch.equal(frozen.weights["1.running_mean"], torch.zeros(8))
    assert not torch.equal(frozen.weights["1.weight"], torch.ones(8))


def test_half_precision_learns_too() -> None:
    program = _program()
    options = _options(precision="bfloat16", epochs=30)
    dtypes: set[torch.dtype] = set()

    def objective(run: Run, batch: Batch) -> Tensor:
        output = run().outputs[0]
        dtypes.add(output.dtype)
        return functional.cross_entropy(output.float(), batch.labels)

    result = train(program, objective, _data(), options=options)
    assert dtypes == {torch.bfloat16}
    assert sum(result.losses[-3:]) < 0.5 * sum(result.losses[:3])
    assert all(weight.dtype == torch.float32 for weight in program.weights.values())


def test_float16_scales_its_gradients() -> None:
    def tiny(run: Run, batch: Batch) -> Tensor:
        return _cross_entropy(run, batch) * 1e-6  # gradients that float16 alone would lose

    plain, half = _program(), _program()
    train(plain, tiny, _data(), options=_options(clip=0.0))
    train(half, tiny, _data(), options=_options(clip=0.0, precision="float16"))
    moved = (plain.weights["2.weight"] - _program().weights["2.weight"]).abs().max()
    assert (half.weights["2.weight"] - plain.weights["2.weight"]).abs().max() < 0.2 * moved


def test_parameters_of_the_objective_are_trained_along() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.ones(()))

        def forward(self, run: Run, batch: Batch) -> Tensor:
            return functional.cross_entropy(run().outputs[0] * self.scale, batch.labels)

    objective = Scaled()
    train(_program(), objective, _data(), options=_options())
    assert objective.scale != 1


def test_plain_weights_of_layers_are_trained_and_constants_are_not() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("weight", torch.eye(4)[:3].contiguous())
            self.register_buffer("shift", torch.arange(3.0))

        def forward(self, x: Tensor) -> Tensor:
            assert isinstance(self.weight, Tensor) and isinstance(self.shift, Tensor)
            return functional.linear(x, self.weight) + self.shift

    program = trace(Shifted(), (torch.zeros(1, 4),))
    train(program, _cross_entropy, _data(), options=_options())
    assert isinstance(program.weights["weight"], nn.Parameter)
    assert not torch.equal(program.weights["weight"], torch.eye(4)[:3])
    assert torch.equal(program.weights["shift"], torch.arange(3.0))


def test_frozen_weights_stay() -> None:
    program = _program()
    before = _weights(program)
    train(program, _cross_entropy, _data(), options=_options(freeze=("0", "2.bias")))
    changed = {n for n, weight in program.weights.items() if not torch.equal(weight, before[n])}
    assert changed == {"2.weight"}


def test_embeddings_are_trained_where_asked_for_and_their_unused_rows_stay() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(8, 3))
    program = trace(model, (torch.zeros(1, 2, dtype=torch.int64),))
    before = _weights(program)["0.weight"]
    data = [(torch.randint(0, 5, (4, 2)), torch.randint(0, 3, (4,))) for _ in range(4)]
    frozen = program.copy()
    train(frozen, _cross_entropy, data, options=_options())
    assert torch.equal(frozen.weights["0.weight"], before)
    assert not torch.equal(frozen.weights["2.weight"], program.weights["2.weight"])
    options = _options(weight_decay=0.5, embeddings="train")
    train(program, _cross_entropy, data, options=options)
    same = (program.weights["0.weight"] == before).all(1)
    assert same.tolist() == [False] * 5 + [True] * 4


def test_the_schedules() -> None:
    def rates(schedule: Any, warmup: float) -> list[float]:
        options = TrainingOptions(lr=1.0, schedule=schedule, warmup=warmup)
        return [round(options.lr_at(step, 8), 3) for step in range(8)]

    assert rates("constant", 0.25) == [0.5, 1, 1, 1, 1, 1, 1, 1]
    assert rates("linear", 0.0) == [1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    assert rates("cosine", 0.5) == [0.25, 0.5, 0.75, 1, 1, 0.854, 0.5, 0.146]


def test_callbacks_see_every_event_in_order_and_can_stop() -> None:
    events: list[str] = []

    class Listener(Callback):
        def on_start(self, training: Training) -> None:
            events.append(f"start of {training.steps}")

        def on_step(self, training: Training) -> None:
            events.append(f"step {training.step}")
            if training.step == 5:
                training.stop()

        def on_validation(self, training: Training) -> None:
            events.append(f"validation {training.validations[-1].step}")

        def on_epoch(self, training: Training) -> None:
            events.append(f"epoch {training.epoch}")

        def on_end(self, training: Training) -> None:
            events.append("end")

    train(
        _program(), _cross_entropy, _data(), options=_options(), validation=_data()[:4],
        callbacks=[Listener()],
    )  # fmt: skip
    assert events == [
        "start of 9", "validation 0", "step 1", "step 2", "step 3", "validation 3", "epoch 1",
        "step 4", "step 5", "validation 5", "end",
    ]  # fmt: skip


def test_steps_go_before_epochs() -> None:
    result = train(_program(), _cross_entropy, _data(), options=_options(steps=7, epochs=1))
    assert (result.step, result.epoch) == (7, 2)


def test_a_progress_bar_shows_loss_and_validation(capsys: pytest.CaptureFixture[str]) -> None:
    train(
        _program(), _cross_entropy, _data(), options=_options(epochs=2), validation=_data()[:4],
        callbacks=[ProgressBar()],
    )  # fmt: skip
    text = capsys.readouterr().err
    assert "6/6" in text
    assert "loss" in text


def test_data_of_torch_utils_is_read_in_every_epoch() -> None:
    dataset = torch.utils.data.TensorDataset(
        torch.cat([x for x, _ in _data()]), torch.cat([y for _, y in _data()])
    )
    loader = torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=True)
    programs = [_program(), _program()]
    for program in programs:
        result = train(program, _cross_entropy, loader, options=_options(batch_size=0))
        assert result.step == 9
    _assert_same(*programs)  # the loader draws from the seed of the options


class _Endless:
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from _data(8, batch=4)


def test_iterables_without_a_length_are_counted() -> None:
    result = train(_program(), _cross_entropy, _Endless(), options=_options(batch_size=0))
    assert result.step == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"lr": 0.0}, "lr must be positive"),
        ({"lr": float("nan")}, "lr must be positive"),
        ({"warmup": 1.5}, "warmup must be between 0 and 1"),
        ({"patience": -1}, "patience must be 0 or more"),
        ({"schedule": "step"}, "schedule must be one of"),
        ({"precision": "int8"}, "precision must be one of"),
        ({"embeddings": "some"}, "embeddings must be one of"),
        ({"freeze": ("3",)}, "freeze names no weight"),
        ({"freeze": ("0", "2")}, "no weights to train"),
        ({"device": "nowhere"}, "cannot train on device 'nowhere'"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(CompileError, match=message):
        train(_program(), _cross_entropy, _data(), options=_options(**options))


def test_a_loss_that_is_not_finite_names_its_update() -> None:
    count = 0

    def objective(run: Run, batch: Batch) -> Tensor:
        nonlocal count
        count += 1
        return _cross_entropy(run, batch) * (float("nan") if count == 4 else 1)

    with pytest.raises(CompileError, match="the loss of update 4 is no finite number"):
        train(_program(), objective, _data(), options=_options())


def test_a_loss_that_is_no_number_is_refused() -> None:
    with pytest.raises(CompileError, match="the loss of update 1 is no finite number"):
        train(_program(), lambda run, batch: run().outputs[0], _data(), options=_options())


def test_samples_are_cut_and_joined_with_their_labels() -> None:
    program = trace(_Shared(), (torch.zeros(2, 3), torch.zeros(3)))
    x, shared = torch.arange(18.0).reshape(6, 3), torch.ones(3)
    labels = {"class": torch.arange(6), "names": ["a", "b", "c"]}
    samples = Samples(program, [Batch((x, shared), labels, 3)])
    assert len(samples) == 3
    assert samples.samples[1].inputs[0].tolist() == [[6, 7, 8], [9, 10, 11]]
    assert samples.samples[1].inputs[1] is shared
    assert samples.samples[2].labels["class"].tolist() == [4, 5]
    (joined,) = samples.in_order(3)
    assert torch.equal(joined.inputs[0], x)
    assert joined.labels["class"].tolist() == [0, 1, 2, 3, 4, 5]
    assert joined.labels["names"] == ["a", "b", "c"]
    assert joined.times == 3


class _Shared(nn.Module):
    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return x + y


def test_labels_that_cannot_be_cut_are_refused() -> None:
    with pytest.raises(CompileError, match="labels cannot be told apart"):
        Samples(_program(), [Batch((torch.zeros(4, 4),), "label", 4)])


def test_a_part_of_the_samples_is_divided_off() -> None:
    samples = Samples(_program(), [Batch((x,), y) for x, y in _data()])
    rest, part = samples.divide(0.25, seed=3)
    assert (len(rest), len(part)) == (18, 6)
    rows = {tuple(one.inputs[0][0].tolist()) for one in (*rest.samples, *part.samples)}
    assert len(rows) == 24


def test_several_processes_need_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(CompileError, match="needs accelerate"):
        train(_program(), _cross_entropy, _data(), options=_options(distributed=True))


class _Accelerator:
    """Two processes after each other: the gradients of the first wait for those of the second."""

    index = 0
    gradients: list[list[Tensor]] = []  # noqa: RUF012

    def __init__(self, *, cpu: bool, mixed_precision: str, kwargs_handlers: list[Any]) -> None:
        assert cpu
        assert mixed_precision == "no"
        assert kwargs_handlers == ["unused"]
        self.num_processes, self.process_index = 2, _Accelerator.index
        self.device, self.scaler = torch.device("cpu"), None
        self.sums = 0

    def prepare(self, module: nn.Module, optimizer: Any) -> tuple[nn.Module, Any]:
        return module, optimizer

    def autocast(self) -> Any:
        return nullcontext()

    def no_sync(self, module: nn.Module) -> Any:
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        self.sums += 1
        loss.backward()

    def clip_grad_norm_(self, weights: list[Tensor], clip: float) -> None:
        """Here the average would be complete."""
        own = [weight.grad.clone() for weight in weights if weight.grad is not None]
        _Accelerator.gradients.append(own)


def test_processes_share_the_batches_of_every_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean of the gradients of two processes is that of one that has all the data."""
    module = ModuleType("accelerate")
    vars(module).update(
        Accelerator=_Accelerator, DistributedDataParallelKwargs=lambda **options: "unused"
    )
    monkeypatch.setitem(sys.modules, "accelerate", module)
    monkeypatch.setattr(_Accelerator, "gradients", [])
    for index in (0, 1):
        monkeypatch.setattr(_Accelerator, "index", index)
        options = _options(batch_size=0, steps=1, distributed=True, accumulate=2)
        train(_program(), _cross_entropy, _data(24, batch=6), options=options)
    model = _model()
    x, y = (torch.cat(parts) for parts in zip(*_data(), strict=True))
    functional.cross_entropy(model(x), y).backward()
    gradients = [weight.grad for weight in model.parameters()]
    by_size = sorted(gradients, key=lambda tensor: -tensor.numel())  # type: ignore[union-attr]
    first, second = (
        sorted(own, key=lambda tensor: -tensor.numel()) for own in _Accelerator.gradients
    )
    for left, right, whole in zip(first, second, by_size, strict=True):
        assert not torch.equal(left, right)
        torch.testing.assert_close((left + right) / 2, whole)
