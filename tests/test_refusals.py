"""What cannot be traced is refused, with what, where, and what to do."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from tests.functions import Function, traced

VECTOR = torch.tensor([1.0, -2.0, 3.0])


def refusal(function: Callable[..., Any], *inputs: Any) -> CompileError:
    with pytest.raises(CompileError) as caught:
        traced(function, *inputs)
    return caught.value


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (lambda x: x[x > 0], "aten.index.Tensor -> shape [u0]"),
        (lambda x: x.nonzero(), "aten.nonzero -> shape [u0, 1]"),
        (lambda x: x * float(x.sum()), "aten._local_scalar_dense"),
    ],
)
def test_sizes_that_depend_on_values(function: Callable[..., Any], got: str) -> None:
    error = refusal(function, VECTOR)
    assert error.what == "a size or a Python number depends on the values of a tensor"
    assert error.at.startswith("model (Function), ")
    assert got in error.got
    assert "torch.where" in error.fix


def test_python_branch_on_values() -> None:
    error = refusal(lambda x: x if x.sum() > 0 else -x, VECTOR)
    assert error.what == "PyTorch cannot export the model"
    assert "data-dependent" in error.got


def test_control_flow_operator() -> None:
    def choose(x: torch.Tensor) -> Any:
        return torch.cond(x.sum() > 0, lambda x: x * 2, lambda x: x - 1, (x,))

    assert refusal(choose, VECTOR).got == "cond"


@pytest.mark.parametrize(
    ("function", "got"),
    [
        (lambda x: x + torch.rand(3), "aten.rand"),
        (lambda x: F.dropout(x), "aten.native_dropout"),
        (lambda x: torch.bernoulli(x.sigmoid()), "aten.rand"),
        (lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5), "scaled_dot_product"),
    ],
)
def test_random_numbers(function: Callable[..., Any], got: str) -> None:
    error = refusal(function, torch.ones(1, 1, 3, 3) if "scaled" in got else VECTOR)
    assert error.what == "the model draws random numbers"
    assert got in error.got


def test_checks_on_values_are_left_out() -> None:
    def checked(x: torch.Tensor) -> torch.Tensor:
        torch._check(x.max().item() < 9)
        torch.ops.aten._assert_async(x.min() > -9)
        return x + 1

    assert len(traced(checked, VECTOR).graph.nodes) == 3


class _Counter(nn.Module):
    """Keeps a count and the last input; returns what `result` makes of itself and its input."""

    count: torch.Tensor
    last: torch.Tensor

    def __init__(self, result: Callable[["_Counter", torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.result = result
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("last", torch.zeros(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += 1
        self.last.copy_(x)
        return self.result(self, x)


def test_state_between_calls() -> None:
    with pytest.raises(CompileError, match="keeps state between calls") as caught:
        trace(_Counter(lambda self, x: x * self.count), VECTOR)
    assert caught.value.at == "count"


def test_state_that_no_output_depends_on_is_left_out() -> None:
    model = _Counter(lambda self, x: self.last * 2)
    program = trace(model, VECTOR)
    assert program.weights == {}
    assert torch.equal(program.run(VECTOR), VECTOR * 2)
    assert model.count == 0, "tracing must not run the model's writes for real"


def test_exported_in_training_mode() -> None:
    exported = torch.export.export(nn.BatchNorm1d(3).train(), (torch.ones(2, 3),))
    with pytest.raises(CompileError, match=r"model\.eval\(\)"):
        trace(exported)


def test_symbolic_sizes() -> None:
    batch = torch.export.Dim("batch")
    exported = torch.export.export(
        nn.Linear(3, 2), (torch.ones(2, 3),), dynamic_shapes=({0: batch},)
    )
    with pytest.raises(CompileError, match="sizes must be known at compile time"):
        trace(exported)


def test_operator_without_a_complex_form_is_named() -> None:
    error = refusal(lambda x: torch.fft.rfft(x).exp().real, VECTOR)
    assert error.what == "the operator is not supported on complex numbers"
    assert error.got == "aten.exp.default"
    assert "functions.py" in error.at


def test_complex_inputs_and_outputs() -> None:
    assert refusal(lambda x: torch.fft.rfft(x), VECTOR).what == "results must be real"
    error = refusal(lambda x: x.real, VECTOR + 0j)
    assert error.what == "tensors of dtype complex64 are not supported"


def test_model_that_fails_on_its_inputs() -> None:
    with pytest.raises(CompileError, match="the model itself fails") as caught:
        trace(nn.Linear(3, 2), torch.ones(1, 4))
    assert caught.value.at == "Linear"
    assert "shapes cannot be multiplied" in caught.value.got


def test_result_of_an_unknown_class() -> None:
    error = refusal(lambda x: (x, object()), VECTOR)
    assert error.got == "object"


def test_result_without_tensors() -> None:
    assert refusal(lambda x: 3, VECTOR).what == "the model returns no tensor"


def test_weights_without_values() -> None:
    with pytest.raises(CompileError, match="dense tensors with values") as caught:
        trace(nn.Linear(3, 2, device="meta"), torch.ones(1, 3, device="meta"))
    assert "meta" in caught.value.got


def test_something_that_is_no_model() -> None:
    with pytest.raises(CompileError, match="cannot trace this object") as caught:
        trace(3)  # type: ignore[arg-type]
    assert caught.value.got == "int"


def test_missing_example_inputs() -> None:
    with pytest.raises(CompileError, match="Linear carries no example inputs"):
        trace(nn.Linear(3, 2))


def test_example_inputs_of_a_wrong_type() -> None:
    with pytest.raises(CompileError, match="must be a tensor, a tuple or a dict") as caught:
        trace(Function(lambda x: x), 3)
    assert caught.value.got == "int"


def test_memory_order_that_programs_do_not_have() -> None:
    error = refusal(lambda x: torch.as_strided(x.t(), (2, 2), (1, 2)), torch.ones(2, 3))
    assert error.what.startswith("as_strided reads memory")
