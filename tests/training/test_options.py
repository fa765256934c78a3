from typing import Any

import pytest

from penjing.compiler.errors import CompileError
from penjing.compiler.training import TrainingOptions, train
from tests.training.tiny_training import class_loss, few_epochs, points, tiny_program


def test_the_schedules() -> None:
    def rates(schedule: Any, warmup: float) -> list[float]:
        options = TrainingOptions(lr=1.0, schedule=schedule, warmup=warmup)
        return [round(options.lr_at(step, 8), 3) for step in range(8)]

    assert rates("constant", 0.25) == [0.5, 1, 1, 1, 1, 1, 1, 1]
    assert rates("linear", 0.0) == [1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125]
    assert rates("cosine", 0.5) == [0.25, 0.5, 0.75, 1, 1, 0.854, 0.5, 0.146]


def test_steps_go_before_epochs() -> None:
    result = train(tiny_program(), class_loss, points(), options=few_epochs(steps=7, epochs=1))
    assert (result.step, result.epoch) == (7, 2)


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
        train(tiny_program(), class_loss, points(), options=few_epochs(**options))
