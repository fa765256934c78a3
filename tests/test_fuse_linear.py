from collections.abc import Callable
from textwrap import dedent

import pytest
import torch
from torch import Tensor, nn

from penjing.passes import FuseLinear
from tests.support import after, optimized

TOLERANCE = 1e-6  # what the pass promises


class _Layer(nn.Module):
    """`compute(x, matrix, vector)` with constant operands, as in layers written by hand."""

    def __init__(self, compute: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.matrix = nn.Parameter(torch.randn(3, 2, generator=generator))
        self.vector = nn.Parameter(torch.randn(1, 2, generator=generator))
        self.compute = compute

    def forward(self, x: Tensor) -> Tensor:
        return self.compute(x, self.matrix, self.vector)


def _after(compute: Callable[[Tensor, Tensor, Tensor], Tensor], *shape: int) -> str:
    return after([FuseLinear()], _Layer(compute), *shape, tolerance=TOLERANCE)


def test_a_product_with_a_weight_is_a_linear_layer() -> None:
    assert _after(lambda x, w, b: x @ w, 4, 3) == dedent("""
        %0 = input x: f32[4,3]
        %1 = aten.linear(%0, @matrix): f32[4,2]
        return %1
        """)


def test_a_constant_vector_added_to_it_is_its_bias() -> None:
    assert _after(lambda x, w, b: x @ w + b, 5, 4, 3) == dedent("""
        %0 = input x: f32[5,4,3]
        %1 = aten.linear(%0, @matrix, @vector): f32[5,4,2]
        return %1
        """)


def test_a_reshape_of_the_rows_goes_in_front() -> None:
    def flat(x: Tensor, w: Tensor, b: Tensor) -> Tensor:
        return torch.addmm(b[0], x.reshape(-1, 3), w).reshape(5, 4, 2)

    assert _after(flat, 5, 4, 3) == dedent("""
        %0 = input x: f32[5,4,3]
        %1 = aten.reshape(%0, [20,3]): f32[20,3]
        %2 = aten.reshape(%1, [5,4,3]): f32[5,4,3]
        %3 = aten.linear(%2, @matrix, @_constants.0): f32[5,4,2]
        return %3
        """)


def test_a_transposed_weight_is_read_as_it_is() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(600, 500)  # more than tracing copies

        def forward(self, index: Tensor) -> Tensor:
            x: Tensor = self.table(index)
            return x @ self.table.weight.t()

    program = optimized([FuseLinear()], Tied(), torch.tensor([1, 5]), tolerance=TOLERANCE)
    assert list(program.weights) == ["table.weight"]
    assert "aten.linear(%1, @table.weight)" in str(program)


def test_products_with_one_weight_share_its_transpose() -> None:
    program = optimized(
        [FuseLinear()], _Layer(lambda x, w, b: (x @ w) * (x.exp() @ w)), 4, 3, tolerance=TOLERANCE
    )
    assert list(program.weights) == ["matrix"]


def test_a_weight_that_others_read_stays_beside_its_transpose() -> None:
    program = optimized(
        [FuseLinear()], _Layer(lambda x, w, b: (x @ w) @ w.t() + w[0, 0]), 4, 3, tolerance=TOLERANCE
    )
    shapes = {tuple(weight.shape) for weight in program.weights.values()}
    assert shapes >= {(2, 3), (3, 2)}


REFUSED: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "a weight on the left": lambda x, w, b: w @ x,
    "a vector of another length": lambda x, w, b: torch.nn.functional.linear(x, w) + b[0, 0],
    "a product that is also read bare": lambda x, w, b: (lambda y: torch.cat([y, y + b], 1))(
        torch.nn.functional.linear(x, w.t())
    ),
    "a reshape of the features": lambda x, w, b: torch.nn.functional.linear(x, w).reshape(-1),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_left_alone(reason: str) -> None:
    shape = (2, 3) if reason != "a vector of another length" else (4, 2)
    if reason == "a reshape of the features":
        shape = (4, 2)
    program = optimized([], _Layer(REFUSED[reason]), *shape)
    assert FuseLinear().run(program) == 0


def test_integer_products_are_left_alone() -> None:
    class Integer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("matrix", torch.ones(3, 2, dtype=torch.int64))

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.matrix  # type: ignore[operator]

    model = Integer()
    x = torch.ones(2, 3, dtype=torch.int64)
    assert "aten.matmul" in after([FuseLinear()], model, x)
