from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from penjing.compiler.errors import CompileError
from penjing.compiler.training import Callback, Regularizer, Training, train
from tests.training.tiny_training import (
    assert_same_weights,
    class_loss,
    few_epochs,
    points,
    tiny_program,
)


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
    options = few_epochs(checkpoint=str(tmp_path / "run.pt"), checkpoint_every=every, **same)
    whole, parts = tiny_program(norm=True), tiny_program(norm=True)
    validation = points()[:5]
    expected = train(
        whole, class_loss, points(), options=few_epochs(**same), validation=validation,
        callbacks=[_Noise()],
    )  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        train(
            parts, class_loss, points(), options=options, validation=validation,
            callbacks=[_Noise(), _Interrupt(interrupted)],
        )  # fmt: skip
    seen: list[int] = []
    parts = tiny_program(norm=True)
    got = train(
        parts, class_loss, points(), options=options, validation=validation,
        callbacks=[_Noise(), _Steps(seen)],
    )  # fmt: skip
    assert 1 < seen[0] <= interrupted + 1
    assert got.losses == expected.losses
    assert got.validations == expected.validations
    assert_same_weights(whole, parts)


class _Steps(Callback):
    def __init__(self, seen: list[int]) -> None:
        self.seen = seen

    def on_step(self, training: Training) -> None:
        self.seen.append(training.step)


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "run.pt"
    options = few_epochs(checkpoint=str(path))
    train(tiny_program(), class_loss, points(), options=options)
    with pytest.raises(CompileError, match=r"lr=0\.02 instead of lr=0\.01"):
        train(
            tiny_program(), class_loss, points(), options=few_epochs(lr=0.01, checkpoint=str(path))
        )
    with pytest.raises(CompileError, match="another program"):
        train(tiny_program(norm=True), class_loss, points(), options=options)
    path.write_bytes(b"something else")
    with pytest.raises(CompileError, match="cannot read a checkpoint"):
        train(tiny_program(), class_loss, points(), options=options)
