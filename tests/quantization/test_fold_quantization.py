"""FoldQuantization: what graphs with quantize and dequantize nodes become, and what stays real."""

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import torch
from torch import nn
from torch.fx import Node
from torch.nn import functional

from penjing.compiler.batched_run import run_batched
from penjing.compiler.errors import CompileError
from penjing.compiler.ir.program import Program
from penjing.compiler.ir.rewrite import insert_call
from penjing.compiler.pass_manager import optimize
from penjing.passes import Canonicalize, FoldConstants, FoldQuantization

from ..functions import Function, traced
from ..support import body, program_of
from . import networks
from .quantized_models import (
    DEQUANTIZE,
    DEQUANTIZE_CHANNELS,
    QUANTIZE,
    aten,
    decomposed,
    quantized_program,
)
from .samples import integers

penjing = torch.ops.penjing


def folded(program: Program) -> Program:
    return optimize(program, [FoldQuantization()])


def operators(program: Program) -> list[str]:
    """The names of the operators between the borders, in order."""
    calls = [n for n in program.graph.nodes if n.op == "call_function"]
    inner = [n for n in calls if n.target not in (QUANTIZE, DEQUANTIZE)]
    return [str(n.target).removesuffix(".default") for n in inner]


def steps_apart(left: Program, right: Program, *inputs: torch.Tensor) -> Any:
    """How many steps of the last quantization the results of two programs differ."""
    (last,) = right.output_nodes
    assert last.target is DEQUANTIZE
    scale = last.args[1]
    assert isinstance(scale, float)
    return ((left.run(*inputs) - right.run(*inputs)) / scale).abs().round()


def test_a_layer_becomes_one_operator() -> None:
    def make(before: Node, x: Node, weight: Node, scales: Node, zeros: Node) -> Node:
        quantized = insert_call(before, QUANTIZE, x, 0.5, 3, -128, 127, torch.int8)
        real = insert_call(before, DEQUANTIZE, quantized, 0.5, 3, -128, 127, torch.int8)
        options = weight, scales, zeros, 0, -127, 127, torch.int8
        layer = insert_call(before, DEQUANTIZE_CHANNELS, *options)
        product = insert_call(before, aten.linear.default, real, layer)
        limited = insert_call(before, aten.clamp.default, product, 0, 6)
        result = insert_call(before, QUANTIZE, limited, 0.25, -100, -128, 127, torch.int8)
        return insert_call(before, DEQUANTIZE, result, 0.25, -100, -128, 127, torch.int8)

    weights = integers(3, 4, low=-127), torch.full((3,), 0.125), torch.zeros(3).long()
    program = program_of(make, torch.randn(2, 4), weights=weights)
    result = folded(program)
    assert body(result) == dedent(
        """\
        %1 = quantized_decomposed.quantize_per_tensor(%0, 0.5, 3, -128, 127, i8): i8[2,4]
        %2 = penjing.linear_int8(%1, @integers.weight_int8, @integers.bias_int32, \
@integers.multiplier, 0, -100, -100, -76): i8[2,3]
        %3 = quantized_decomposed.dequantize_per_tensor(%2, 0.25, -100, -128, 127, i8): f32[2,3]
        return %3"""
    )
    assert set(result.weights["integers.multiplier"].tolist()) == {1 << 29}  # 0.5 * 0.125 / 0.25


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8])
@pytest.mark.parametrize("name", sorted(networks.NETWORKS))
def test_networks_fold_completely(name: str, dtype: torch.dtype) -> None:
    model, x = networks.NETWORKS[name]()
    program = quantized_program(model, x, dtype=dtype)
    result = optimize(folded(program), [FoldConstants()])  # masks become integers
    assert not result.reports[-2].skips
    assert all(
        operator.startswith("penjing.") or operator in networks.MOVES
        for operator in operators(result)
    ), operators(result)
    apart = steps_apart(program, result, x)
    assert apart.mean() < 0.3
    assert apart.max() <= networks.MOST_STEPS


@pytest.mark.parametrize(
    ("function", "operator"),
    [
        (lambda x: x * torch.linspace(-1, 1, 8), "penjing.affine_int8"),
        (lambda x: torch.relu(x - torch.linspace(0, 3, 6)[:, None]), "penjing.affine_int8"),
        (lambda x: functional.batch_norm(x, torch.ones(4), torch.ones(4)), "penjing.affine_int8"),
        (lambda x: x + x.flip(-1) * 0.5, None),
        (lambda x: functional.hardswish(x), "penjing.table_int8"),
        (lambda x: x * torch.sigmoid(x), "penjing.table_int8"),
        (lambda x: functional.gelu(x) * 2 + 1, "penjing.table_int8"),
        (lambda x: functional.avg_pool2d(x, 3, 2, 1), "penjing.avg_pool_int8"),
        (lambda x: functional.adaptive_avg_pool2d(x, (3, 4)), "penjing.avg_pool_int8"),
        (lambda x: functional.adaptive_avg_pool2d(x, 1), "penjing.mean_int8"),
        (lambda x: x.mean(1), "penjing.mean_int8"),
        (lambda x: x.sum((2, 3)), "penjing.mean_int8"),
        (lambda x: x / torch.linspace(1, 3, 8), "penjing.affine_int8"),
        (lambda x: torch.linspace(0, 3, 6)[:, None] - x * 2, "penjing.affine_int8"),
        (lambda x: x.amax((2, 3)), "aten.amax"),
        (lambda x: torch.minimum(x, x.flip(1)), "aten.minimum"),
        (lambda x: torch.softmax(x, 1), "penjing.softmax_int8"),
        (lambda x: functional.layer_norm(x, (8,)), "penjing.normalize_int8"),
        (lambda x: functional.rms_norm(x, (6, 8)), "penjing.normalize_int8"),
        (lambda x: x @ x.transpose(-1, -2) / 3, "penjing.matmul_int8"),
    ],
)
def test_single_operators_are_within_a_step(
    function: Callable[..., Any], operator: str | None
) -> None:
    x = torch.randn(1, 4, 6, 8, generator=torch.Generator().manual_seed(0)) * 2
    program = quantized_program(Function(function), x)
    result = folded(program)
    assert not result.reports[-1].skips
    assert operator is None or operator in operators(result)
    assert steps_apart(program, result, x).max() <= 1


def rounded(before: Node, x: Node, scale: float = 0.5, zero_point: int = 3) -> Node:
    """A value through int8 and back."""
    options = scale, zero_point, -128, 127, torch.int8
    quantized = insert_call(before, QUANTIZE, x, *options)
    return insert_call(before, DEQUANTIZE, quantized, *options)


def layer_weight(before: Node, weight: Node, scale: float = 0.125) -> Node:
    return insert_call(before, DEQUANTIZE, weight, scale, 0, -127, 127, torch.int8)


def test_a_layer_whose_result_stays_real_sums_integers() -> None:
    def make(before: Node, x: Node, weight: Node, bias: Node) -> Node:
        layer = layer_weight(before, weight)
        return insert_call(before, aten.linear.default, rounded(before, x), layer, bias)

    weights = integers(3, 4, low=-127), torch.randn(3)
    program = program_of(make, torch.randn(2, 4), weights=weights)
    result, x = folded(program), torch.randn(2, 4)
    assert operators(result) == ["penjing.linear_int8_to_float"]
    torch.testing.assert_close(result.run(x), program.run(x), rtol=0, atol=0.5 * 0.125 / 2 + 1e-4)


def test_a_bias_may_be_quantized_too() -> None:
    def make(before: Node, x: Node, weight: Node, bias: Node) -> Node:
        real = insert_call(before, DEQUANTIZE, bias, 0.0625, 0, -(2**31), 2**31 - 1, torch.int32)
        layer = layer_weight(before, weight)
        return insert_call(before, aten.linear.default, rounded(before, x), layer, real)

    bias = torch.tensor([5, -70000, 123456], dtype=torch.int32)
    program = program_of(make, torch.randn(2, 4), weights=(torch.zeros(3, 4).to(torch.int8), bias))
    assert torch.equal(folded(program).weights["integers.bias_int32"], bias)


def test_weights_that_are_quantized_in_the_program_are_constants() -> None:
    def make(before: Node, x: Node, weight: Node) -> Node:
        options = 0.01, 0, -127, 127, torch.int8
        integer = insert_call(before, QUANTIZE, weight, *options)
        layer = insert_call(before, DEQUANTIZE, integer, *options)
        return insert_call(before, aten.linear.default, rounded(before, x), layer)

    weight = torch.randn(3, 4)
    program = program_of(make, torch.randn(2, 4), weights=(weight,))
    wanted = (weight / 0.01).round().clamp(-127, 127).to(torch.int8)
    assert torch.equal(folded(program).weights["integers.weight_int8"], wanted)


def test_inputs_and_outputs_of_uint8_keep_their_integers() -> None:
    def make(before: Node, x: Node) -> Node:
        options = 0.5, 130, 0, 255, torch.uint8
        real = insert_call(before, DEQUANTIZE, x, *options)
        activated = insert_call(before, aten.relu.default, real)
        return insert_call(before, QUANTIZE, activated, *options)

    x = torch.arange(256).to(torch.uint8)
    program = program_of(make, x)
    result = folded(program)
    assert operators(result) == ["penjing.signed_int8", "aten.clamp", "penjing.unsigned_int8"]
    assert torch.equal(result.run(x), program.run(x))


def test_what_only_moves_integers_moves_them_exactly() -> None:
    def move(x: torch.Tensor) -> torch.Tensor:
        y = functional.max_pool1d(functional.pad(x, (1, 2)), 3, 2, 1)
        y = functional.interpolate(y.relu()[:, None], scale_factor=(2, 3))
        return functional.pixel_shuffle(y.permute(0, 2, 1, 3), 2).flip(-1)[..., 1:]

    x = torch.randn(1, 8, 10)
    everything = {node.target for node in optimize_of(move, x).graph.nodes}
    program = quantized_program(Function(move), x, kept=everything)
    result = folded(program)
    assert not any(name.startswith("penjing") for name in operators(result))
    assert torch.equal(result.run(x), program.run(x))


def optimize_of(function: Callable[..., Any], x: torch.Tensor) -> Program:
    """The canonical program of a function."""
    return optimize(traced(function, x), [Canonicalize()])


def test_tables_of_embeddings_become_integers() -> None:
    words, positions = nn.Embedding(20, 6), nn.Embedding(9, 6)

    def forward(words: nn.Module, positions: nn.Module, x: torch.Tensor) -> Any:
        return words(x) + positions(torch.arange(5))

    model, x = Function(forward, words, positions), torch.tensor([[3, 1, 4, 1, 19]])
    program = quantized_program(model, x)
    result = folded(program)
    assert operators(result) == ["aten.embedding", "penjing.affine_int8"]
    tables = [w for w in result.weights.values() if w.shape == (20, 6)]
    assert [table.dtype for table in tables] == [torch.int8]
    assert steps_apart(program, result, x).max() <= 1


def test_samples_run_together_and_programs_are_saved(tmp_path: Path) -> None:
    model, x = networks.NETWORKS["residual"]()
    program = folded(quantized_program(model, x))
    several = torch.cat([x, x / 2])
    together = run_batched(program, (several,)).outputs[0]
    assert torch.equal(together, torch.cat([program.run(x), program.run(x / 2)]))
    program.save(tmp_path / "program")
    assert torch.equal(Program.load(tmp_path / "program").run(x), program.run(x))


def test_pairs_that_undo_each_other_go_away() -> None:
    program = program_of(
        lambda before, x: rounded(before, rounded(before, rounded(before, x))), torch.randn(3)
    )
    assert len(list(folded(program).graph.nodes)) == 4  # input, quantize, dequantize, output


def test_real_values_that_are_also_read_stay() -> None:
    def make(before: Node, x: Node) -> tuple[Node, Node]:
        total = insert_call(before, aten.add.Tensor, rounded(before, x), rounded(before, x, 0.25))
        return rounded(before, total), total

    program = program_of(make, torch.randn(4), outputs=2)
    result, x = folded(program), torch.randn(4)
    assert "aten.add.Tensor" in operators(result)
    (skip,) = result.reports[-1].skips
    assert "also read in floating point" in skip.reason
    assert all(map(torch.equal, result.run(x), program.run(x)))


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda x: torch.cumsum(x, 0), "aten.cumsum.default has no integer form"),
        (lambda x: functional.avg_pool2d(x[None], 3, 2, 1, False, False), "different sizes"),
        (lambda x: functional.avg_pool2d(x[None], 2, 3, 0, True), "beyond the border"),
        (lambda x: functional.adaptive_avg_pool2d(x[None], 3), "different sizes"),
        (lambda x: x[:1] * torch.ones(3, 1, 1), "larger than the value"),
        (lambda x: x / (x.flip(0) + 9), "a quotient of two values"),
    ],
)
def test_what_has_no_integer_form_stays_real(function: Callable[..., Any], reason: str) -> None:
    x = torch.randn(3, 7, 8)
    program = quantized_program(Function(function), x)
    result = folded(program)
    assert any(reason in skip.reason for skip in result.reports[-1].skips)
    assert torch.equal(result.run(x), program.run(x))


def test_computed_parameters_are_left_alone() -> None:
    def make(before: Node, x: Node, scale: Node, zero_point: Node) -> Node:
        options = scale, zero_point, -128, 127, torch.int8
        quantized = insert_call(before, decomposed.quantize_per_tensor.tensor, x, *options)
        return insert_call(before, decomposed.dequantize_per_tensor.tensor, quantized, *options)

    weights = torch.tensor([0.5]), torch.tensor([3])
    program = program_of(make, torch.randn(4), weights=weights)
    assert folded(program).reports[-1].rewrites == 0


def test_programs_without_integers_are_untouched() -> None:
    program = traced(lambda x: x.relu() + 1, torch.randn(4))
    assert folded(program).reports[-1].rewrites == 0


def test_scales_out_of_range_name_the_module() -> None:
    class Sum(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + x

    model = nn.Sequential(Sum())
    program = quantized_program(model, torch.randn(4))
    for node in program.graph.find_nodes(op="call_function", target=DEQUANTIZE)[:1]:
        node.args = (node.args[0], 1e9, *node.args[2:])
    with pytest.raises(CompileError, match="steps of the result") as error:
        folded(program)
    assert "0 (Sum)" in str(error.value)
