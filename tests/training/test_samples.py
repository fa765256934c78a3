from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from penjing.compiler.batches import Batch
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.training import Samples, train
from tests.training.tiny_training import (
    assert_same_weights,
    class_loss,
    few_epochs,
    points,
    tiny_program,
)


def test_data_of_torch_utils_is_read_in_every_epoch() -> None:
    dataset = torch.utils.data.TensorDataset(
        torch.cat([x for x, _ in points()]), torch.cat([y for _, y in points()])
    )
    loader = torch.utils.data.DataLoader(dataset, batch_size=8, shuffle=True)
    programs = [tiny_program(), tiny_program()]
    for program in programs:
        result = train(program, class_loss, loader, options=few_epochs(batch_size=0))
        assert result.step == 9
    assert_same_weights(*programs)  # the loader draws from the seed of the options


class _Endless:
    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        yield from points(8, batch=4)


def test_iterables_without_a_length_are_counted() -> None:
    result = train(tiny_program(), class_loss, _Endless(), options=few_epochs(batch_size=0))
    assert result.step == 6


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
        Samples(tiny_program(), [Batch((torch.zeros(4, 4),), "label", 4)])


def test_a_part_of_the_samples_is_divided_off() -> None:
    samples = Samples(tiny_program(), [Batch((x,), y) for x, y in points()])
    rest, part = samples.divide(0.25, seed=3)
    assert (len(rest), len(part)) == (18, 6)
    rows = {tuple(one.inputs[0][0].tolist()) for one in (*rest.samples, *part.samples)}
    assert len(rows) == 24
