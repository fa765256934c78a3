"""How models take and return things: flat in the program, the user's own structure outside."""

from collections import namedtuple
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from tests.functions import Function, traced
from tests.support import assert_close

A, B = torch.tensor([1.0, 2.0]), torch.tensor([10.0, 20.0])


def test_single_tensor_stands_for_a_tuple_of_one() -> None:
    program = trace(nn.ReLU(), A)
    assert program.input_names == ("input",)
    assert program.output_names == ("output",)
    assert_close(program.run(A), A, 0)


class _Keywords(nn.Module):
    def forward(self, x: Tensor, scale: Tensor | None = None, *, shift: Tensor) -> Tensor:
        return x * (1 if scale is None else scale) + shift


def test_keyword_inputs_keep_the_order_given() -> None:
    program = trace(_Keywords(), {"shift": B, "x": A})
    assert program.input_names == ("shift", "x")
    assert_close(program.run(x=A, shift=B), A + B, 0)
    assert_close(program.run(B, A), A + B, 0)


class _Nested(nn.Module):
    def forward(self, state: tuple[Tensor, dict[str, Tensor]], *more: Tensor) -> Any:
        first, rest = state
        return {"sum": first + rest["a"], "list": [rest["b"] * more[0], (more[1],)]}


def test_nested_inputs_and_outputs() -> None:
    inputs = ((A, {"b": B, "a": A}), A, B)
    program = trace(_Nested(), inputs)
    assert program.input_names == ("state_0", "state_1_b", "state_1_a", "args_0", "args_1")
    assert program.output_names == ("sum", "list_0", "list_1_0")
    result = program.run((A, {"a": A, "b": B}), A, B)
    assert_close(result["sum"], A + A, 0)
    assert_close(result["list"], [B * A, (B,)], 0)


def test_what_is_no_tensor_is_fixed() -> None:
    def power(x: Tensor, exponent: int, flag: bool, name: str, nothing: None) -> Any:
        return {"y": x**exponent if flag else x, "exponent": exponent, "nothing": nothing}

    program = traced(power, A, 3, True, "cube", None)
    assert program.input_names == ("args_0",)
    assert program.output_names == ("y",)
    result = program.run(A, 3, True, "cube", None)
    assert_close(result["y"], A**3, 0)
    assert (result["exponent"], result["nothing"]) == (3, None)
    with pytest.raises(CompileError, match="4 where 3 was traced"):
        program.run(A, 4, True, "cube", None)
    with pytest.raises(CompileError, match="1 where True was traced"):
        program.run(A, 3, 1, "cube", None)


def test_inputs_of_another_structure_or_spec() -> None:
    program = trace(_Nested(), ((A, {"b": B, "a": A}), A, B))
    with pytest.raises(CompileError, match="nested differently"):
        program.run((A, {"b": B}), A, B)
    with pytest.raises(CompileError, match=r"input args_1 must be f32\[2\]") as caught:
        program.run((A, {"a": A, "b": B}), A, B.double())
    assert caught.value.got == "f64[2]"


@dataclass
class _Pair:
    first: Tensor
    second: Tensor | None = None


_Point = namedtuple("_Point", ["x", "y"])


def test_dataclasses_and_named_tuples() -> None:
    def swap(pair: _Pair, point: _Point) -> Any:
        return _Pair(point.y, pair.first), _Point(pair.first, [point.x])

    program = traced(swap, _Pair(A), _Point(A, B))
    assert program.input_names == ("args_0_first", "args_1_x", "args_1_y")
    assert program.output_names == (
        "output_0_first",
        "output_0_second",
        "output_1_x",
        "output_1_y_0",
    )
    pair, point = program.run(_Pair(A), _Point(A, B))
    assert isinstance(pair, _Pair)
    assert isinstance(point, _Point)
    assert_close((pair.first, pair.second, point.x, point.y), (B, A, A, [A]), 0)


def test_outputs_of_transformers() -> None:
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8}
    config = transformers.LlamaConfig(vocab_size=9, num_hidden_layers=1, **sizes)
    model = transformers.LlamaModel(config)
    ids = torch.tensor([[1, 2, 3]])
    program = trace(model, {"input_ids": ids})
    caches = ("past_key_values_layers_0_keys", "past_key_values_layers_0_values")
    assert program.output_names == ("last_hidden_state", *caches)
    result = program.run(input_ids=ids)
    assert type(result.past_key_values) is transformers.DynamicCache
    assert_close(result.last_hidden_state, model(ids).last_hidden_state.detach(), 0)


class _Cache:
    """An object of a class of its own, as libraries use to pass state around."""

    def __init__(self, keys: Tensor) -> None:
        assert keys.dim() == 1
        self.layers = [_Layer(keys), _Layer(keys + 1)]
        self.dtype = keys.dtype


class _Layer:
    def __init__(self, keys: Tensor) -> None:
        self.keys = keys
        self.is_full = True


def test_objects_of_classes_that_pytorch_does_not_know(tmp_path: Path) -> None:
    program = traced(lambda x, cache: _Cache(x + cache.layers[1].keys), A, _Cache(B))
    assert program.input_names == ("args_0", "args_1_layers_0_keys", "args_1_layers_1_keys")
    assert program.output_names == ("layers_0_keys", "layers_1_keys")
    result = program.run(A, _Cache(B))
    assert isinstance(result, _Cache)
    assert (result.dtype, result.layers[1].is_full) == (torch.float32, True)
    assert_close([layer.keys for layer in result.layers], [A + B + 1, A + B + 2], 0)
    program.save(tmp_path / "program.pt")
    plain = Program.load(tmp_path / "program.pt").run(A, A, B + 1)
    assert (plain["dtype"], plain["layers"][1]["is_full"]) == (torch.float32, True)
    assert_close(plain["layers"][1]["keys"], A + B + 2, 0)


def test_inputs_carried_by_the_model() -> None:
    model = nn.Linear(2, 2)
    model.example_input_array = A[None]  # Lightning
    assert trace(model).inputs[0].shape == (1, 2)
    bert = transformers.BertModel(
        transformers.BertConfig(
            vocab_size=9,
            hidden_size=8,
            num_hidden_layers=1,
            num_attention_heads=2,
            intermediate_size=8,
        )
    )
    assert trace(bert).input_names == ("input_ids",)


def test_one_tensor_given_twice_is_two_inputs() -> None:
    program = traced(lambda x, y: x - y, A, A)
    assert_close(program.run(A, B), A - B, 0)


def test_views_and_strides_of_example_inputs_do_not_matter() -> None:
    base = torch.arange(12.0).reshape(3, 4)
    program = traced(lambda x: x.reshape(-1), base.t()[1:, ::2])
    x = base.t()[1:, ::2]
    assert_close(program.run(x), x.reshape(-1), 0)
    assert_close(program.run(x.contiguous()), x.reshape(-1), 0)


def test_inputs_are_not_written() -> None:
    x = A.clone()
    program = traced(lambda x: x.mul_(2), x)
    assert_close(program.run(x), A * 2, 0)
    assert_close(x, A, 0)


def test_outputs_that_are_inputs_constants_or_each_other() -> None:
    program = traced(lambda x: (x, torch.ones(2), x, x.relu()), A)
    lines = str(program).splitlines()
    assert lines[-1] == "return %0, @_constants.0, %0, %1"
    assert_close(program.run(A), (A, torch.ones(2), A, A), 0)


def test_unused_inputs_stay() -> None:
    program = traced(lambda x, y: x + 1, A, B)
    assert program.input_names == ("args_0", "args_1")
    assert_close(program.run(A, B), A + 1, 0)


def test_model_without_inputs() -> None:
    program = trace(Function(lambda: torch.ones(2) * 2), ())
    assert program.inputs == ()
    assert_close(program.run(), torch.tensor([2.0, 2.0]), 0)
