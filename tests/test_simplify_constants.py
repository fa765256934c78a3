"""What is left of masks and repeated constants."""

from textwrap import dedent

import torch

from tests.functions import text_of, traced
from tests.support import assert_close

M = torch.arange(6.0).reshape(2, 3)
MASK = torch.tensor([[True, False, True], [True, True, True]])


def test_gather_of_everything_in_order_is_a_reshape() -> None:
    def pick(x: torch.Tensor) -> torch.Tensor:
        return x[torch.arange(2)[:, None, None], torch.arange(3)]

    assert text_of(pick, M) == dedent("""
        %0 = input args_0: f32[2,3]
        %1 = aten.reshape(%0, [2,1,3]): f32[2,1,3]
        return %1
        """)


def test_gather_in_another_order_stays() -> None:
    program = traced(lambda x: x[torch.tensor([1, 0])], M)
    assert "aten.index.Tensor(%0, [@lifted_tensor_0])" in str(program)
    assert_close(program.run(M), M.flip(0), 0)


def test_conjunction_with_true_is_an_expansion() -> None:
    assert text_of(lambda m: m[:, None] & torch.ones(4, 3, dtype=torch.bool), MASK) == dedent("""
        %0 = input args_0: bool[2,3]
        %1 = aten.reshape(%0, [2,1,3]): bool[2,1,3]
        %2 = aten.expand(%1, [2,4,3]): bool[2,4,3]
        return %2
        """)


def test_conjunction_with_something_false_stays() -> None:
    program = traced(lambda m: m & torch.tensor([True, False, True]), MASK)
    assert "aten.bitwise_and.Tensor" in str(program)


def test_repeated_constant_is_stored_once() -> None:
    program = traced(lambda x: x * torch.ones(2, 3).cumsum(1), M)
    assert [tuple(w.shape) for w in program.weights.values()] == [(1, 3)]
    assert_close(program.run(M), M * torch.tensor([1.0, 2.0, 3.0]), 0)


def test_constant_that_gives_the_shape_stays_whole() -> None:
    program = traced(lambda x: x + torch.ones(4, 3), M[:1])
    assert [tuple(w.shape) for w in program.weights.values()] == [(4, 3)]
    assert program.outputs[0].shape == (4, 3)


def test_two_readers_share_the_narrow_constant() -> None:
    def twice(x: torch.Tensor) -> torch.Tensor:
        constant = torch.full((2, 3), 2.0).cumsum(1)
        return (x + constant) * constant

    program = traced(twice, M)
    assert len(program.weights) == 1
    assert_close(program.run(M), twice(M), 0)
