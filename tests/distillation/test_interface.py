import json

import pytest

from penjing.compiler.pass_manager import optimize
from penjing.compiler.pass_text import parse
from penjing.compiler.training import Callback, Training
from penjing.passes import Distill
from tests.distillation.students import (
    details_of,
    distilled,
    error_of,
    samples,
    shorter_student,
    the_teacher,
)


def test_accuracy_and_progress_are_told() -> None:
    told: list[tuple[str, float]] = []
    program = optimize(
        shorter_student(),
        [Distill(teacher=the_teacher(), epochs=1, lr=3e-3)],
        calibration=samples(),
        evaluate=lambda one: 1 - error_of(one),
        progress=lambda stage, done: told.append((stage, done)),
    )
    report = program.reports[-1]
    assert report.before is not None and report.after is not None
    assert report.before.quality == pytest.approx(1 - error_of(shorter_student()))
    assert report.after.quality == pytest.approx(1 - error_of(program))
    assert ("distill: teacher", 1.0) in told
    assert ("distill: training", 1.0) in told


def test_callbacks_of_the_user_are_called() -> None:
    class Stop(Callback):
        def on_step(self, training: Training) -> None:
            training.stop()

    program = distilled(shorter_student(), callbacks=(Stop(),))
    assert details_of(program)["steps"] == 1


def test_options_have_a_text_form() -> None:
    (parsed,) = parse("distill{epochs=3,output=kl,temperature=4.0,freeze=(table,head),lr=0.001}")
    options = {"epochs": 3, "output": "kl", "temperature": 4.0, "lr": 0.001}
    assert parsed == Distill(freeze=("table", "head"), **options)  # type: ignore[arg-type]
    assert parse(str(parsed)) == [parsed]
    program = optimize(
        shorter_student(), "distill{epochs=1,freeze=(table)}", calibration=samples()
    )  # it is its own teacher
    assert program.reports[-1].rewrites == 0


def test_reports_are_plain_data() -> None:
    program = distilled(shorter_student(), epochs=1, callbacks=(Callback(),))
    report = json.loads(json.dumps(program.reports[-1].as_dict()))
    assert report["options"]["teacher"] == "<Program>"
    assert report["options"]["callbacks"] == ["<Callback>"]
    assert report["options"]["epochs"] == 1
