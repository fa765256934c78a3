from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from penjing.compiler.batches import Batch
from penjing.compiler.errors import CompileError
from penjing.compiler.ir.verify import verify
from penjing.compiler.training import train
from penjing.compiler.training.forward import Run
from tests.training.tiny_training import (
    assert_near_weights,
    assert_same_weights,
    class_loss,
    few_epochs,
    points,
    tiny_model,
    tiny_program,
    weights_of,
)


def test_training_lowers_the_loss_and_leaves_a_valid_program() -> None:
    program = tiny_program()
    result = train(program, class_loss, points(), options=few_epochs(epochs=30))
    assert result.steps == result.step == len(result.losses) == 90
    assert result.epoch == 30
    assert sum(result.losses[-3:]) < 0.5 * sum(result.losses[:3])
    assert not any(weight.grad is not None for weight in program.weights.values())
    verify(program)


def test_a_step_is_that_of_adamw_in_pytorch() -> None:
    model, data = tiny_model(), points(6, batch=6)
    optimizer = torch.optim.AdamW(
        [
            {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.5},
            {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
        ],
        lr=0.02,
    )
    program = tiny_program()
    for _ in range(3):
        optimizer.zero_grad()
        functional.cross_entropy(model(data[0][0]), data[0][1]).backward()
        optimizer.step()
    options = few_epochs(batch_size=0, weight_decay=0.5, clip=0.0, schedule="constant", warmup=0.0)
    train(program, class_loss, data, options=options)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(program.weights[name], weight, rtol=0, atol=1e-6)


def test_a_step_with_muon_is_that_of_pytorch() -> None:
    model, data = tiny_model(), points(6, batch=6)
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
    program = tiny_program()
    still = {"clip": 0.0, "schedule": "constant", "warmup": 0.0}
    options = few_epochs(optimizer="muon", batch_size=0, weight_decay=0.5, **still)
    train(program, class_loss, data, options=options)
    for name, weight in model.named_parameters():
        torch.testing.assert_close(program.weights[name], weight, rtol=0, atol=1e-6)


def test_equal_seeds_give_equal_weights_and_others_do_not() -> None:
    programs = [tiny_program() for _ in range(3)]
    for program, seed in zip(programs, (5, 5, 6), strict=True):
        train(program, class_loss, points(), options=few_epochs(seed=seed))
    assert_same_weights(programs[0], programs[1])
    with pytest.raises(AssertionError):
        assert_same_weights(programs[0], programs[2])


def test_training_leaves_the_random_numbers_of_the_caller() -> None:
    before = torch.get_rng_state()
    train(tiny_program(), class_loss, points(), options=few_epochs(epochs=1))
    assert torch.equal(torch.get_rng_state(), before)


def test_accumulated_gradients_equal_those_of_a_large_batch() -> None:
    whole, parts, uneven = tiny_program(), tiny_program(), tiny_program()
    options = {"batch_size": 0, "epochs": 4}
    train(whole, class_loss, points(24, batch=12), options=few_epochs(**options))
    train(parts, class_loss, points(24, batch=3), options=few_epochs(accumulate=4, **options))
    data = [(torch.cat([x for x, _ in group]), torch.cat([y for _, y in group])) for group in (
        points()[:2], points()[2:12], points()[12:21], points()[21:])]  # fmt: skip
    train(uneven, class_loss, data, options=few_epochs(accumulate=2, **options))
    assert_near_weights(whole, parts)
    assert_near_weights(whole, uneven)


def test_large_batches_equal_single_samples() -> None:
    """The same batches, given as one tensor each or put together from samples."""
    joined, single = tiny_program(), tiny_program()
    train(joined, class_loss, points(16, batch=16), options=few_epochs(batch_size=0))
    train(single, class_loss, points(16), options=few_epochs(batch_size=16))
    assert_near_weights(joined, single)


def test_the_best_weights_win_and_patience_stops_training() -> None:
    """A learning rate that is far too high makes every update worse than the beginning."""
    program = tiny_program()
    train(program, class_loss, points(), options=few_epochs(epochs=20))
    before = weights_of(program)
    options = few_epochs(epochs=50, lr=3.0, patience=3, clip=0.0, warmup=0.0)
    result = train(program, class_loss, points(), options=options, validation=points())
    assert result.best is not None
    assert result.best.step == 0
    assert len(result.validations) == 4
    assert result.stopped
    assert result.epoch == 3
    for name, weight in program.weights.items():
        assert torch.equal(weight, before[name])


def test_the_last_weights_stay_where_asked_for() -> None:
    program = tiny_program()
    options = few_epochs(epochs=1, lr=3.0, warmup=0.0)
    before = weights_of(program)
    train(program, class_loss, points(), options=options, validation=points(), keep_best=False)
    assert not torch.equal(program.weights["0.weight"], before["0.weight"])


def test_half_precision_learns_too() -> None:
    program = tiny_program()
    options = few_epochs(precision="bfloat16", epochs=30)
    dtypes: set[torch.dtype] = set()

    def objective(run: Run, batch: Batch) -> Tensor:
        output = run().outputs[0]
        dtypes.add(output.dtype)
        return functional.cross_entropy(output.float(), batch.labels)

    result = train(program, objective, points(), options=options)
    assert dtypes == {torch.bfloat16}
    assert sum(result.losses[-3:]) < 0.5 * sum(result.losses[:3])
    assert all(weight.dtype == torch.float32 for weight in program.weights.values())


def test_float16_scales_its_gradients() -> None:
    def tiny(run: Run, batch: Batch) -> Tensor:
        return class_loss(run, batch) * 1e-6  # gradients that float16 alone would lose

    plain, half = tiny_program(), tiny_program()
    train(plain, tiny, points(), options=few_epochs(clip=0.0))
    train(half, tiny, points(), options=few_epochs(clip=0.0, precision="float16"))
    moved = (plain.weights["2.weight"] - tiny_program().weights["2.weight"]).abs().max()
    assert (half.weights["2.weight"] - plain.weights["2.weight"]).abs().max() < 0.2 * moved


def test_a_loss_that_is_not_finite_names_its_update() -> None:
    count = 0

    def objective(run: Run, batch: Batch) -> Tensor:
        nonlocal count
        count += 1
        return class_loss(run, batch) * (float("nan") if count == 4 else 1)

    with pytest.raises(CompileError, match="the loss of update 4 is no finite number"):
        train(tiny_program(), objective, points(), options=few_epochs())


def test_a_loss_that_is_no_number_is_refused() -> None:
    with pytest.raises(CompileError, match="the loss of update 1 is no finite number"):
        train(tiny_program(), lambda run, batch: run().outputs[0], points(), options=few_epochs())
