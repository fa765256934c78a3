import pytest

from penjing.compiler.training import Callback, ProgressBar, Training, train
from tests.training.tiny_training import class_loss, few_epochs, points, tiny_program


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
        tiny_program(), class_loss, points(), options=few_epochs(), validation=points()[:4],
        callbacks=[Listener()],
    )  # fmt: skip
    assert events == [
        "start of 9", "validation 0", "step 1", "step 2", "step 3", "validation 3", "epoch 1",
        "step 4", "step 5", "validation 5", "end",
    ]  # fmt: skip


def test_a_progress_bar_shows_loss_and_validation(capsys: pytest.CaptureFixture[str]) -> None:
    train(
        tiny_program(), class_loss, points(), options=few_epochs(epochs=2), validation=points()[:4],
        callbacks=[ProgressBar()],
    )  # fmt: skip
    text = capsys.readouterr().err
    assert "6/6" in text
    assert "loss" in text
