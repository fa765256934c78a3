"""QuantizeDynamic: int8 whose steps are chosen at run time, and what kernels make of it."""

from textwrap import dedent
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.fx import Node

import penjing
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.ir.rewrite import insert_call
from penjing.compiler.pass_manager import optimize
from penjing.passes import (
    FoldConstants,
    FoldDynamicQuantization,
    QuantizeDynamic,
    QuantizeWeights,
)

from .functions import Function

DECOMPOSED = torch.ops.quantized_decomposed
KINDS = [
    {"granularity": granularity, "symmetric": symmetric}
    for granularity in ("token", "tensor")
    for symmetric in (False, True)
]


def perceptron() -> tuple[Program, Tensor]:
    model = nn.Sequential(nn.Linear(40, 64), nn.GELU(), nn.Linear(64, 33, bias=False))
    x = torch.randn(2, 9, 40)
    return trace(model.eval(), (x,)), x


def images() -> tuple[Program, Tensor]:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 12, 1, bias=False),
        nn.Conv2d(12, 12, 3, stride=2, groups=12),
        nn.Flatten(),
        nn.Linear(12 * 16, 5),
    )
    x = torch.randn(1, 3, 9, 9)
    return trace(model.eval(), (x,)), x


def quantized(program: Program, **options: Any) -> Program:
    return optimize(program, [QuantizeDynamic(**{"least_elements": 1, **options})])


def decibels(wanted: Tensor, got: Tensor) -> float:
    return float(10 * torch.log10(wanted.square().sum() / (got - wanted).square().sum()))


def test_steps_are_chosen_in_the_program() -> None:
    program = trace(nn.Linear(2, 3, bias=False).eval(), (torch.zeros(4, 2),))
    changed = quantized(program)
    assert "\n" + str(changed) == dedent("""
        %0 = input input: f32[4,2]
        %1 = quantized_decomposed.choose_qparams_per_token_asymmetric(%0, i8): (f64[4,1], i64[4,1])
        %2 = %1[0]: f64[4,1]
        %3 = %1[1]: i64[4,1]
        %4 = quantized_decomposed.quantize_per_token(%0, %2, %3, -128, 127, i8): i8[4,2]
        %5 = quantized_decomposed.dequantize_per_token(%4, %2, %3, -128, 127, i8, f32): f32[4,2]
        %6 = quantized_decomposed.dequantize_per_channel(@weight_int8, @weight_scales, @weight_zero_points, 0, -127, 127, i8): f32[3,2]
        %7 = aten.linear(%5, %6): f32[4,3]
        return %7
        """)  # noqa: E501  # a program's text
    folded = optimize(changed, [FoldDynamicQuantization()])
    assert "\n" + str(folded) == dedent("""
        %0 = input input: f32[4,2]
        %1 = penjing.quantize_rows(%0, 1, false, 1.1920928955078125e-07, -128, 127): (i8[4,2], f32[4,1], i32[4,1])
        %2 = %1[0]: i8[4,2]
        %3 = %1[1]: f32[4,1]
        %4 = %1[2]: i32[4,1]
        %5 = penjing.linear_int8_rows(%2, %3, %4, @integers.weight_int8, @integers.sums, @integers.scale, @integers.bias): f32[4,3]
        return %5
        """)  # noqa: E501  # a program's text


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_values_stay_close(kind: dict[str, Any]) -> None:
    program, x = perceptron()
    changed = quantized(program, **kind)
    folded = optimize(changed, [FoldDynamicQuantization()])
    assert folded.reports[-1].skips == []
    assert decibels(program.run(x), changed.run(x)) > 33
    assert decibels(changed.run(x), folded.run(x)) > 60  # few integers differ, by one


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_the_library_gives_the_same(kind: dict[str, Any]) -> None:
    program, x = perceptron()
    changed = quantized(program, **kind)
    folded = optimize(changed, [FoldDynamicQuantization()])
    result = penjing.compile(changed, target="host").run(x)[0]
    # GELU is a polynomial of float32 there: it turns few integers over
    assert decibels(folded.run(x), torch.from_numpy(result)) > 50


def _layer_and_rows() -> tuple[Program, Tensor]:
    x = torch.randn(13, 37)
    program = quantized(trace(nn.Linear(37, 53).eval(), (x,)))
    return optimize(program, [FoldDynamicQuantization()]), x


def in_groups(program: Program, bits: int = 4, **options: Any) -> Program:
    return optimize(
        program,
        [
            QuantizeWeights(bits=bits, least_elements=1),
            QuantizeDynamic(**{"least_elements": 1, **options}),
        ],
    )


def _groups_and_rows() -> tuple[Program, Tensor]:
    x = torch.randn(13, 72)
    program = in_groups(trace(nn.Linear(72, 53).eval(), (x,)))
    return optimize(program, [FoldDynamicQuantization()]), x


def _same_bytes(target: str, program: Program, x: Tensor) -> None:
    artifact = penjing.compile(program, target=target)
    for given in (x, torch.full_like(x, 1e9), -x.abs(), torch.zeros_like(x), x * 1e-12):
        np.testing.assert_array_equal(artifact.run(given)[0], program.run(given).numpy())


def test_host_gives_the_bytes_of_pytorch() -> None:
    _same_bytes("host", *_layer_and_rows())
    _same_bytes("host", *_groups_and_rows())


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize(
    "target", ["arm-a72", "arm-a76", "arm-a55", "armv7-a9", "x86-64-v2", "x86-64-v3"]
)
def test_other_processors_give_the_same(target: str) -> None:
    _same_bytes(target, *_layer_and_rows())
    _same_bytes(target, *_groups_and_rows())


def test_weights_of_4_bits_in_groups() -> None:
    program = trace(nn.Linear(32, 3, bias=False).eval(), (torch.zeros(4, 32),))
    folded = optimize(in_groups(program, symmetric=True), [FoldDynamicQuantization()])
    assert "\n" + str(folded) == dedent("""
        %0 = input input: f32[4,32]
        %1 = penjing.quantize_rows(%0, 1, true, 7.874015748031497e-08, -127, 127): (i8[4,32], f32[4,1], i32[4,1])
        %2 = %1[0]: i8[4,32]
        %3 = %1[1]: f32[4,1]
        %4 = penjing.linear_int4_rows(%2, %3, none, @weight_int4, @weight_scales, @integers.sums, @integers.bias): f32[4,3]
        return %4
        """)  # noqa: E501  # a program's text


@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_layers_of_groups_stay_close(kind: dict[str, Any]) -> None:
    program, x = perceptron()
    weights_alone = optimize(program, [QuantizeWeights(bits=4, least_elements=1)])
    changed = in_groups(program, **kind)
    folded = optimize(changed, [FoldDynamicQuantization()])
    assert (changed.reports[-1].skips, folded.reports[-1].skips) == ([], [])
    assert decibels(weights_alone.run(x), changed.run(x)) > 33
    assert decibels(changed.run(x), folded.run(x)) > 60
    result = penjing.compile(changed, target="host").run(x)[0]
    assert decibels(folded.run(x), torch.from_numpy(result)) > 50


def test_weights_of_8_bits_are_taken_by_channel() -> None:
    model = nn.Sequential(nn.Linear(37, 40), nn.Linear(40, 32))  # 37: in no groups
    x = torch.randn(2, 37)
    program = in_groups(trace(model.eval(), (x,)), bits=8)
    dynamic = program.reports[-1]
    assert [skip.reason for skip in dynamic.skips] == ["its weight has 8 bits and steps for groups"]
    assert dynamic.rewrites == 1
    folded = optimize(program, [FoldDynamicQuantization()])
    assert folded.reports[-1].rewrites == 1
    assert decibels(program.run(x), folded.run(x)) > 60


def test_large_groups_are_left_alone() -> None:
    program = trace(nn.Linear(512, 8).eval(), (torch.zeros(1, 512),))
    steps = [QuantizeWeights(bits=4, group=512), QuantizeDynamic()]
    (skip,) = optimize(program, steps).reports[-1].skips
    assert skip.reason == "its weight has groups of more than 256"


def test_rounded_weights_stay_as_they_are_the_other_way_around() -> None:
    program, _ = perceptron()
    changed = optimize(quantized(program), [QuantizeWeights(bits=4, least_elements=1)])
    assert changed.reports[-1].rewrites == 0


def test_images_have_one_step_and_no_zero_point() -> None:
    program, x = images()
    changed = quantized(program, convolutions=True)
    folded = optimize(changed, [FoldDynamicQuantization()])
    operators = [str(node.target) for node in folded.graph.nodes if "penjing" in str(node.target)]
    assert operators.count("penjing.conv_int8_images.default") == 3
    assert operators.count("penjing.linear_int8_rows.default") == 1
    assert decibels(program.run(x), changed.run(x)) > 28
    assert decibels(changed.run(x), folded.run(x)) > 60
    result = penjing.compile(changed, target="host").run(x)[0]
    np.testing.assert_array_equal(result, folded.run(x).numpy())


def test_layers_of_one_value_share_its_integers() -> None:
    def forward(first: nn.Module, second: nn.Module, x: Tensor) -> Tensor:
        result: Tensor = first(x) * second(x)
        return result

    layers = nn.Linear(16, 8), nn.Linear(16, 8)
    x = torch.randn(3, 16)
    program = trace(Function(forward, *layers).eval(), (x,))
    folded = optimize(quantized(program), [FoldDynamicQuantization()])
    rows = folded.graph.find_nodes(
        op="call_function", target=torch.ops.penjing.quantize_rows.default
    )
    assert len(rows) == 1
    assert decibels(program.run(x), folded.run(x)) > 30


def test_what_stays_as_it_is() -> None:
    program, _ = perceptron()
    for options in ({"keep": ("0", "2")}, {"least_elements": 10**6}):
        assert quantized(program, **options).reports[-1].rewrites == 0
    assert quantized(program, keep=("0",)).reports[-1].rewrites == 1
    assert quantized(images()[0]).reports[-1].rewrites == 1  # the linear layer


def test_no_calibration_is_needed_and_constants_stay_small() -> None:
    program, x = perceptron()
    folded = optimize(quantized(program), [FoldConstants(), FoldDynamicQuantization()])
    size = sum(weight.nbytes for weight in folded.weights.values())
    assert size < 0.4 * sum(weight.nbytes for weight in program.weights.values())
    big = folded.run(x * 1e6)
    assert decibels(program.run(x * 1e6), big) > 30


def test_wrong_options() -> None:
    program, _ = perceptron()
    with pytest.raises(CompileError, match="weight_bits must be"):
        quantized(program, weight_bits=9)
    with pytest.raises(CompileError, match="granularity must be"):
        quantized(program, granularity="row")
    with pytest.raises(CompileError, match="keep names no module"):
        quantized(program, keep=("nothing",))
    program.weights["0.weight"].data[0, 0] = float("nan")
    with pytest.raises(CompileError, match="infinite or not a number"):
        quantized(program)


def test_computed_weights_are_left_alone() -> None:
    program = trace(
        Function(lambda x, w: nn.functional.linear(x, w)), (torch.zeros(2, 4), torch.zeros(3, 4))
    )
    report = quantized(program).reports[-1]
    assert (report.rewrites, [skip.reason for skip in report.skips]) == (
        0,
        ["its weight is computed"],
    )


def _reasons(program: Program) -> list[str]:
    return [
        skip.reason for skip in optimize(program, [FoldDynamicQuantization()]).reports[-1].skips
    ]


def _only(program: Program, target: Any) -> Node:
    node: Node
    (node,) = program.graph.find_nodes(op="call_function", target=target)
    return node


def test_unsigned_integers_are_refused() -> None:
    program = quantized(trace(nn.Linear(4, 3).eval(), (torch.zeros(2, 4),)), granularity="tensor")
    for target in (DECOMPOSED.quantize_per_tensor.tensor, DECOMPOSED.dequantize_per_tensor.tensor):
        node = _only(program, target)
        node.args = (*node.args[:3], 0, 255, torch.uint8)
    _only(program, DECOMPOSED.quantize_per_tensor.tensor).meta["val"] = torch.empty(
        2, 4, dtype=torch.uint8, device="meta"
    )
    node = _only(program, DECOMPOSED.quantize_per_tensor.tensor)
    fresh = insert_call(node, node.target, *node.args)
    node.replace_all_uses_with(fresh)
    program.graph.erase_node(node)
    assert _reasons(program) == ["integers of torch.uint8"]


def test_zero_points_beside_padding_are_refused() -> None:
    program = quantized(
        trace(nn.Conv2d(2, 3, 3, padding=1).eval(), (torch.zeros(1, 2, 5, 5),)), convolutions=True
    )
    choice = _only(program, DECOMPOSED.choose_qparams_symmetric.tensor)
    choice.target = DECOMPOSED.choose_qparams.tensor
    assert _reasons(program) == ["its input has zero points, or steps for each row"]


def test_steps_of_another_value_are_refused() -> None:
    program = quantized(trace(nn.Linear(4, 3).eval(), (torch.zeros(2, 4),)))
    choice = _only(program, DECOMPOSED.choose_qparams_per_token_asymmetric.default)
    doubled = insert_call(choice, torch.ops.aten.mul.Tensor, program.input_nodes[0], 2.0)
    choice.args = (doubled, *choice.args[1:])
    assert _reasons(program) == ["the steps of its input are those of another value"]


def test_sums_that_may_not_fit_are_refused() -> None:
    layer = nn.Linear(70000, 1, bias=False)
    layer.weight.data.fill_(1.0)
    program = quantized(trace(layer.eval(), (torch.zeros(1, 70000),)))
    assert _reasons(program) == ["its sums may not fit 32 bits"]


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize(("target", "most"), [("arm-a76", 0.25), ("arm-a72", 0.33)])
def test_weights_of_4_bits_need_few_instructions(target: str, most: float) -> None:
    """For each product of one row: it takes over four where weights are widened in memory."""
    x = torch.randn(1, 384)
    program = in_groups(trace(nn.Linear(384, 1536).eval(), (x,)))
    executed = penjing.compile(program, target=target).count_instructions(x)
    assert executed < most * 384 * 1536
