import pytest
import torch

from penjing.compiler.batched_run import run_batched
from penjing.compiler.batches import Batch
from penjing.passes.distillation.hidden_states import hidden_states
from penjing.passes.distillation.teacher import Answer, Teacher
from tests.distillation.students import the_teacher, token_batch


def test_padding_has_no_importance() -> None:
    """No output depends on it, so nothing has to be learned there."""
    states = hidden_states(the_teacher())[1:4]
    ids, mask = token_batch(5)
    answer = Teacher(the_teacher(), states, [], 0).answer(Batch((ids, mask), None, 5))
    for node in states:
        expected = mask / mask.sum(1, keepdim=True)
        torch.testing.assert_close(answer.importance[node], expected)


def test_a_teacher_is_asked_once_about_each_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    ids, mask = token_batch(6)
    teacher = Teacher(the_teacher(), hidden_states(the_teacher()), [], 1 << 20)
    first = teacher.answer(Batch((ids, mask), None, 6))
    monkeypatch.setattr(Teacher, "_ask", None)
    order = torch.tensor([4, 0, 5])
    again = teacher.answer(Batch((ids[order], mask[order]), None, 3))
    assert torch.equal(again.outputs[0], first.outputs[0][order])
    for node, value in first.values.items():
        assert torch.equal(again.values[node], value[order])


def test_a_teacher_is_asked_about_unknown_samples_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sample that the memory has no room for must not cost a whole batch."""
    ids, mask = token_batch(6)
    states = hidden_states(the_teacher())
    expected = Teacher(the_teacher(), states, [], 0).answer(Batch((ids, mask), None, 6))
    teacher = Teacher(the_teacher(), states, [], 1 << 20)
    teacher.prepare([Batch((ids[:4], mask[:4]), None, 4)])
    asked: list[int] = []
    ask = Teacher._ask

    def count(self: Teacher, batch: Batch) -> Answer:
        asked.append(batch.times)
        return ask(self, batch)

    monkeypatch.setattr(Teacher, "_ask", count)
    order = torch.tensor([5, 0, 4, 2, 5])
    answer = teacher.answer(Batch((ids[order], mask[order]), None, 5))
    assert asked == [2]
    torch.testing.assert_close(answer.outputs[0], expected.outputs[0][order])
    for node, value in expected.values.items():
        torch.testing.assert_close(answer.values[node], value[order], rtol=2**-10, atol=1e-6)
    for node, weights in expected.importance.items():
        torch.testing.assert_close(answer.importance[node], weights[order])


def test_a_teacher_remembers_no_more_than_allowed() -> None:
    ids, mask = token_batch(6)
    teacher = Teacher(the_teacher(), hidden_states(the_teacher()), [], 0)
    for _ in range(2):
        answer = teacher.answer(Batch((ids, mask), None, 6))
        with torch.no_grad():
            run = run_batched(the_teacher(), (ids, mask), keep=teacher.states)
        assert torch.equal(answer.outputs[0], run.outputs[0])
        for node, value in answer.values.items():
            torch.testing.assert_close(value.float(), run.kept[node], rtol=2**-11, atol=1e-6)


def test_a_teacher_never_answers_in_half_precision() -> None:
    batch = Batch(token_batch(6), None, 6)
    with torch.no_grad():
        expected = run_batched(the_teacher(), batch.inputs).outputs[0]
    with torch.autocast("cpu", torch.bfloat16):
        answer = Teacher(the_teacher(), hidden_states(the_teacher()), [], 0).answer(batch)
    assert torch.equal(answer.outputs[0], expected)
