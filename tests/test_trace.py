"""Whole models and single functions, traced: they compute what PyTorch computes."""

import gc
import warnings
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from tests.functions import Function, traced
from tests.support import assert_close
from tests.trace_samples import SAMPLES
from tests.zoo import REQUIRED, ZOO, Inputs, assert_sensitive, call, make, tensors_of
from tests.zoo_more import MORE, make_more

# Masked attention is computed in another order, and a group norm takes the place of an instance
# norm; everything else is exact.
TOLERANCE = 1e-5


def run(program: Program, inputs: Inputs) -> Any:
    return program.run(**inputs) if isinstance(inputs, dict) else program.run(*inputs)


def zoo_parameters() -> list[Any]:
    """The models that must compile, and, marked as slow, the held-out ones."""
    return [
        pytest.param(name, marks=[] if name in REQUIRED else [pytest.mark.slow]) for name in ZOO
    ]


@pytest.mark.parametrize("name", zoo_parameters())
def test_model_of_the_zoo_computes_what_pytorch_computes(name: str) -> None:
    model, inputs = make(name)
    assert_sensitive(model, inputs)
    program = trace(model, inputs)
    result, expected = run(program, inputs), call(model, inputs)
    assert type(result) is type(expected)
    assert_close(tensors_of(result), tensors_of(expected), TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_further_architecture_computes_what_pytorch_computes(name: str) -> None:
    model, inputs = make_more(name)
    program = trace(model, inputs)
    result, expected = run(program, inputs), call(model, inputs)
    assert_close(tensors_of(result), tensors_of(expected), TOLERANCE)


@pytest.mark.parametrize("name", ["own_se_cnn", "own_gru", "llama"])
def test_the_same_model_gives_the_same_text(name: str) -> None:
    assert str(trace(*make(name))) == str(trace(*make(name)))


@pytest.mark.parametrize("name", SAMPLES)
def test_function_computes_what_pytorch_computes(name: str) -> None:
    function, inputs, modules = SAMPLES[name]
    model = Function(function, *modules).eval()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # PyTorch's own about some of these functions
        program = trace(model, tuple(x.clone() for x in inputs))
        expected = model(*(x.clone() for x in inputs))
        result = program.run(*(x.clone() for x in inputs))
    assert_close(tensors_of(result), tensors_of(expected), TOLERANCE)


def test_training_mode_is_left_for_tracing_and_restored_after() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(), nn.BatchNorm1d(3)).train()
    model[0].eval()
    x = torch.randn(2, 3)
    program = trace(model, x)
    assert [module.training for module in model.modules()] == [True, False, True, True]
    assert_close(program.run(x), model.eval()(x).detach(), 0)
    assert "dropout" not in str(program)


def test_training_mode_is_restored_after_a_refusal() -> None:
    model = Function(lambda drop, x: drop(x)[x > 0], nn.Dropout()).train()
    with pytest.raises(CompileError):
        trace(model, torch.randn(3))
    assert all(module.training for module in model.modules())


def test_program_and_model_share_no_memory() -> None:
    model = nn.Linear(3, 2)
    program = trace(model, torch.ones(1, 3))
    before = program.run(torch.ones(1, 3))
    with torch.no_grad():
        model.weight.add_(1)
        program.weights["weight"].sub_(0)
    assert_close(program.run(torch.ones(1, 3)), before, 0)
    assert program.weights["weight"].data_ptr() != model.weight.data_ptr()


def test_model_does_not_outlive_its_last_reference() -> None:
    model = nn.Linear(3, 2)
    program = trace(model, torch.ones(1, 3))
    parameters = {id(parameter) for parameter in model.parameters()}
    del model
    gc.collect()
    alive = {id(thing) for thing in gc.get_objects() if isinstance(thing, nn.Parameter)}
    assert not parameters & alive
    assert set(program.weights) == {"weight", "bias"}


def test_recurrent_model_still_works_after_tracing() -> None:
    model, x = nn.LSTM(3, 4), torch.randn(5, 2, 3)
    before = model(x)[0].detach()
    trace(model, x)
    assert_close(model(x)[0].detach(), before, 0)


def test_tied_weights_are_one_weight_under_the_first_name() -> None:
    embedding, head = nn.Embedding(5, 3), nn.Linear(3, 5, bias=False)
    head.weight = embedding.weight
    model = nn.Sequential(embedding, head)
    program = trace(model, torch.tensor([1, 4]))
    assert list(program.weights) == ["0.weight"]
    assert program.weights["0.weight"].requires_grad


class _Named(nn.Module):
    """Its names collide with those of graph modules; one tensor is no parameter and no buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.graph = nn.Linear(2, 2)
        self.scale = torch.tensor([2.0, 3.0])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.graph(x) * self.scale
        return y


def test_weights_of_unusual_names_and_kinds() -> None:
    model, x = _Named(), torch.randn(1, 2)
    program = trace(model, x)
    assert set(program.weights) == {"graph_.weight", "graph_.bias", "scale"}
    assert_close(program.run(x), model(x).detach(), 0)


def test_frozen_parameters_stay_frozen() -> None:
    model = nn.Linear(2, 2)
    model.bias.requires_grad_(False)
    weights = trace(model, torch.ones(1, 2)).weights
    assert weights["weight"].requires_grad
    assert not weights["bias"].requires_grad


def test_gradients_flow_through_the_program() -> None:
    program = trace(nn.Linear(3, 1), torch.ones(1, 3))
    (y,) = program.run_flat(torch.ones(1, 3))
    y.sum().backward()
    assert_close(program.weights["weight"].grad, torch.ones(1, 3), 0)


def test_program_is_copied() -> None:
    program = traced(lambda x: x + 1, torch.ones(2))
    copy = trace(program)
    assert copy is not program
    assert copy.graph is not program.graph
    assert str(copy) == str(program)


@pytest.mark.parametrize("strict", [True, False])
def test_exported_program_keeps_its_interface(strict: bool) -> None:
    model = Function(lambda linear, x, scale: {"y": linear(x) * scale}, nn.Linear(3, 2)).eval()
    inputs = (torch.ones(1, 3), torch.tensor(2.0))
    program = trace(torch.export.export(model, inputs, strict=strict))
    assert program.output_names == ("y",)
    assert set(program.weights) == {"parts.0.weight", "parts.0.bias"}
    assert_close(program.run(*inputs)["y"], model(*inputs)["y"].detach(), 0)


@pytest.mark.parametrize("name", ["own_mobilenet_v2", "own_se_cnn", "vit"])
def test_decomposed_exported_program_is_raised_to_whole_operators(name: str) -> None:
    model, inputs = make(name)
    args, kwargs = ((), inputs) if isinstance(inputs, dict) else (inputs, {})
    exported = torch.export.export(model, args, kwargs).run_decompositions()
    program = trace(exported)
    assert_close(tensors_of(run(program, inputs)), tensors_of(call(model, inputs)), TOLERANCE)
    text = str(program)
    for low in ("native_", "convolution", "_softmax", "addmm", "aten.view", "aten.t("):
        assert low not in text


def test_compiled_module_is_unwrapped() -> None:
    model: Any = torch.compile(nn.Linear(2, 2))
    assert "aten.linear(%0, @weight, @bias)" in str(trace(model, torch.ones(1, 2)))


def test_autocast_shows_as_casts() -> None:
    def half(linear: nn.Linear, x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return F.relu(linear(x))

    program = traced(half, torch.ones(1, 2), modules=(nn.Linear(2, 2),))
    assert program.outputs[0].dtype == "bfloat16"
    assert "aten._to_copy(%0, dtype=bf16)" in str(program)


def test_mask_building_leaves_little_behind() -> None:
    model, inputs = make("bert")
    lines = str(trace(model, inputs)).splitlines()
    mask = [line for line in lines if "bool[" in line]
    assert mask == [
        "%6 = aten._to_copy(%1, dtype=bool): bool[2,11]",
        "%7 = aten.reshape(%6, [2,1,1,11]): bool[2,1,1,11]",
        "%8 = aten.expand(%7, [2,1,11,11]): bool[2,1,11,11]",
    ]
