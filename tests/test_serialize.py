"""Saved and loaded programs are the same programs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.ao.quantization.fx._decomposed  # registers the operators
import transformers
from torch import nn
from torch.fx import Node

from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.ir.rewrite import insert_call
from penjing.compiler.ir.serialize_values import decode, encode
from penjing.compiler.ir.verify import verify
from tests.functions import Function, traced
from tests.support import assert_close, program_of
from tests.zoo import call, make, tensors_of


def reloaded(program: Program, tmp_path: Path) -> Program:
    program.save(tmp_path / "program.pt")
    loaded = Program.load(tmp_path / "program.pt")
    verify(loaded)
    return loaded


def assert_same(one: Program, other: Program) -> None:
    """Equal in everything that a program holds."""
    assert str(one) == str(other)
    assert (one.input_names, one.output_names) == (other.input_names, other.output_names)
    for left, right in zip(one.graph.nodes, other.graph.nodes, strict=True):
        assert (left.name, left.op, left.target) == (right.name, right.op, right.target)
        assert {k: v for k, v in left.meta.items() if k != "val"} == {
            k: v for k, v in right.meta.items() if k != "val"
        }
    assert list(one.weights) == list(other.weights)
    for left, right in zip(one.weights.values(), other.weights.values(), strict=True):
        assert (type(left), left.requires_grad) == (type(right), right.requires_grad)
        assert_close(left, right, 0)


@pytest.mark.parametrize("name", ["own_gru", "own_se_cnn", "gpt2"])
def test_model_of_the_zoo(name: str, tmp_path: Path) -> None:
    model, inputs = make(name)
    program = trace(model, inputs)
    loaded = reloaded(program, tmp_path)
    assert_same(program, loaded)
    args, kwargs = ((), inputs) if isinstance(inputs, dict) else (inputs, {})
    assert_close(tensors_of(loaded.run(*args, **kwargs)), tensors_of(call(model, inputs)), 1e-5)


def test_tied_weights_and_regions(tmp_path: Path) -> None:
    embedding, head = nn.Embedding(5, 3), nn.Linear(3, 5)
    head.weight = embedding.weight
    program = trace(nn.Sequential(embedding, head), torch.tensor([1]))
    program.output_nodes[0].meta.update(region=2, note=["a", 1.5, None, {"k": (1, True)}])
    loaded = reloaded(program, tmp_path)
    assert_same(program, loaded)
    assert loaded.output_nodes[0].meta["note"] == ["a", 1.5, None, {"k": (1, True)}]


def test_dtypes_and_scalars(tmp_path: Path) -> None:
    def mixed(x: torch.Tensor) -> Any:
        y = x.to(torch.bfloat16) * float("inf") + torch.tensor([1, 2], dtype=torch.int8)
        return y, x > -float("inf"), torch.tensor(1.5, dtype=torch.float16) * x.half()

    assert_same(program := traced(mixed, torch.ones(2)), reloaded(program, tmp_path))


def test_quantized_operators(tmp_path: Path) -> None:
    q = torch.ops.quantized_decomposed
    x = torch.randn(2, 3)

    class Quantized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("w", torch.randint(-9, 9, (4, 3), dtype=torch.int8))
            self.register_buffer("scales", torch.rand(4))
            self.register_buffer("zeros", torch.zeros(4, dtype=torch.int64))

        def forward(self, x: torch.Tensor) -> Any:
            x = q.quantize_per_tensor(x, 0.1, 3, -128, 127, torch.int8)
            x = q.dequantize_per_tensor(x, 0.1, 3, -128, 127, torch.int8)
            w = q.dequantize_per_channel(self.w, self.scales, self.zeros, 0, -127, 127, torch.int8)
            return nn.functional.linear(x, w)

    model = Quantized()
    program = trace(model, x)
    assert "quantized_decomposed.dequantize_per_channel(@w, @scales, @zeros, 0, " in str(program)
    loaded = reloaded(program, tmp_path)
    assert_same(program, loaded)
    assert_close(loaded.run(x), model(x), 0)


def test_integer_programs_load_where_nothing_else_was_imported(tmp_path: Path) -> None:
    def integers(before: Node, x: Node) -> Node:
        return insert_call(before, torch.ops.penjing.signed_int8.default, x)

    path = tmp_path / "net.penjing"
    program_of(integers, torch.zeros(3, dtype=torch.uint8)).save(path)
    code = "import penjing, sys; print(penjing.Program.load(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "penjing.signed_int8" in done.stdout


def test_classes_of_other_libraries_become_dicts(tmp_path: Path) -> None:
    def output(x: torch.Tensor) -> Any:
        return transformers.modeling_outputs.BaseModelOutput(last_hidden_state=x + 1), [x, None, 3]

    loaded = reloaded(traced(output, torch.ones(2)), tmp_path)
    result, rest = loaded.run(torch.ones(2))
    assert_close(result["last_hidden_state"], torch.tensor([2.0, 2.0]), 0)
    assert rest[1:] == [None, 3]
    with pytest.raises(CompileError, match="nested differently"):
        loaded.run(torch.ones(2), torch.ones(2))


def test_custom_operator_must_be_registered(tmp_path: Path) -> None:
    library = torch.library.Library("penjing_test", "DEF")
    library.define("twice(Tensor x, float[] scales=[]) -> Tensor")
    library.impl("twice", lambda x, scales=(): x * 2, "CompositeExplicitAutograd")
    program = trace(Function(lambda x: torch.ops.penjing_test.twice(x, [1.0])), torch.ones(2))
    assert_same(program, reloaded(program, tmp_path))
    description = torch.load(tmp_path / "program.pt")
    text = description["description"].replace("penjing_test.twice", "penjing_gone.twice")
    torch.save({**description, "description": text}, tmp_path / "gone.pt")
    with pytest.raises(CompileError, match="not registered") as caught:
        Program.load(tmp_path / "gone.pt")
    assert "import the library that defines penjing_gone::twice" in caught.value.fix


def test_file_of_another_kind_or_format(tmp_path: Path) -> None:
    torch.save({"weight": torch.ones(1)}, tmp_path / "state.pt")
    with pytest.raises(CompileError, match="not a saved program"):
        Program.load(tmp_path / "state.pt")
    torch.save({"description": json.dumps({"format": 99})}, tmp_path / "future.pt")
    with pytest.raises(CompileError, match="format 1 can be loaded"):
        Program.load(tmp_path / "future.pt")


def test_values_that_cannot_be_saved(tmp_path: Path) -> None:
    program = traced(lambda x: x + 1, torch.ones(2))
    program.output_nodes[0].meta["callback"] = print
    with pytest.raises(CompileError, match="cannot be saved"):
        program.save(tmp_path / "program.pt")


@pytest.mark.parametrize(
    "value",
    [
        *(1, 1.0, True, None, "x", float("-inf"), 2**62, (1, [2, ()]), {"a": (1.5,)}),
        *(torch.int8, torch.device("cpu"), torch.strided, torch.channels_last),
    ],
)
def test_values_round_trip(value: object) -> None:
    again = decode(json.loads(json.dumps(encode(value, {}))), [])
    assert type(again) is type(value)
    assert again == value
