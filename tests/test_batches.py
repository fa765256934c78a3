"""Calibration data in every form a user may have it, and what is refused."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from penjing.compiler.batches import as_batches
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program


class _Add(nn.Module):
    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return left + right


def _one() -> Program:
    return trace(nn.Linear(3, 2), (torch.zeros(1, 3),))


def _two() -> Program:
    return trace(_Add(), (torch.zeros(1, 3), torch.zeros(1, 3)))


@pytest.mark.parametrize(
    ("item", "label"),
    [
        (torch.ones(4, 3), None),
        ((torch.ones(4, 3),), None),
        ([torch.ones(4, 3)], None),
        ((torch.ones(4, 3), 7), 7),
        ([(torch.ones(4, 3),), "cat"], "cat"),
    ],
)
def test_an_item_is_inputs_or_inputs_with_labels(item: Any, label: Any) -> None:
    (batch,) = as_batches(_one(), [item])
    assert [tuple(tensor.shape) for tensor in batch.inputs] == [(4, 3)]
    assert batch.labels == label
    assert batch.times == 4


def test_two_inputs_are_not_inputs_and_labels() -> None:
    pair = (torch.ones(2, 3), torch.ones(2, 3))
    (batch,) = as_batches(_two(), [pair])
    assert len(batch.inputs) == 2
    (batch,) = as_batches(_two(), [(pair, "label")])
    assert (len(batch.inputs), batch.labels) == (2, "label")


def test_keyword_inputs() -> None:
    program = trace(_Add(), {"left": torch.zeros(1, 3), "right": torch.zeros(1, 3)})
    (batch,) = as_batches(program, [{"left": torch.ones(2, 3), "right": torch.zeros(2, 3)}])
    assert torch.equal(batch.inputs[0], torch.ones(2, 3))


def test_an_iterator_can_be_read_twice() -> None:
    def items() -> Iterator[torch.Tensor]:
        yield torch.zeros(1, 3)
        yield torch.ones(2, 3)

    batches = as_batches(_one(), items())
    assert [batch.times for batch in batches] == [1, 2]
    assert [batch.times for batch in batches] == [1, 2]
    assert len(batches) == 2


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (torch.zeros(4, 3), "must be an iterable of batches"),
        (7, "must be an iterable of batches"),
        ([], "holds no batch"),
        ([torch.zeros(1, 4)], "input x? ?.*must be f32"),
        ([torch.zeros(1, 3, dtype=torch.float64)], "must be f32"),
        ([torch.full((1, 3), torch.nan)], "NaN or infinity"),
        ([torch.zeros(1, 3), torch.full((1, 3), torch.inf)], "batch 1"),
        ([{"nonsense": torch.zeros(1, 3)}], "does not fit the model"),
        (["text"], "does not fit the model"),
    ],
)
def test_what_does_not_fit_is_named(data: Any, message: str) -> None:
    with pytest.raises(CompileError, match=message):
        list(as_batches(_one(), data))


def test_inputs_with_different_numbers_of_samples() -> None:
    with pytest.raises(CompileError, match="different numbers of samples"):
        list(as_batches(_two(), [(torch.zeros(2, 3), torch.zeros(4, 3))]))
