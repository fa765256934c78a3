from typing import Any

import pytest
import torch
from torch import Tensor, nn

from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.pass_manager import optimize
from penjing.passes import Distill
from tests.distillation.students import (
    distilled,
    samples,
    shorter_student,
    small_encoder,
    the_teacher,
    token_batch,
)


def test_data_is_needed() -> None:
    with pytest.raises(CompileError, match="distill needs calibration data"):
        optimize(shorter_student(), [Distill(teacher=the_teacher())])


def test_a_teacher_is_needed() -> None:
    with pytest.raises(CompileError, match="distill needs the original program"):
        Distill(data=samples()).run(shorter_student().copy())


def test_a_teacher_of_another_shape_is_refused() -> None:
    other = trace(small_encoder(), tuple(torch.cat([x, x]) for x in token_batch(1)))
    with pytest.raises(CompileError, match="the teacher has other inputs than the program"):
        distilled(shorter_student(), teacher=other)


def test_data_of_another_shape_is_refused() -> None:
    ids, mask = token_batch(4)
    with pytest.raises(CompileError, match=r"input ids must be i64\[1,6\]"):
        distilled(shorter_student(), data=[(ids[:, :3], mask[:, :3])])


def test_a_loss_that_is_not_finite_names_its_update() -> None:
    def loss(outputs: list[Tensor], labels: object) -> Tensor:
        return outputs[0].sum() * float("nan")

    ids, mask = token_batch(4)
    data = [((ids, mask), torch.zeros(4))]
    with pytest.raises(CompileError, match="the loss of update 1 is no finite number"):
        distilled(shorter_student(), data=data, label_weight=1.0, label_loss=loss)


def test_labels_that_are_missing_are_named() -> None:
    with pytest.raises(CompileError, match="there are no labels to mix in"):
        distilled(shorter_student(), label_weight=1.0)


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
        distilled(shorter_student(), device="nowhere")


def test_batches_as_they_come_need_validation() -> None:
    with pytest.raises(CompileError, match="needs validation data"):
        distilled(shorter_student(), batch_size=0)


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
