"""Quantized programs as ONNX: nodes that quantize, and what they are folded into.

onnxruntime calculates networks of quantize and dequantize nodes with integers where it can, and
divides by steps where PyTorch multiplies by their inverse: results are at most one step off. What
penjing has folded is exported as it is defined, bit for bit.
"""

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import penjing
import penjing.passes
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize
from penjing.compiler.quantization.packed_weights import unpack_int4
from tests.quantization.networks import NETWORKS
from tests.quantization.quantized_models import DEQUANTIZE, quantized_program
from tests.quantization.test_libraries import integers_of
from tests.zoo_own import MobileNetV2

from .exported import error_of, exported, results_of, run_onnx

CLOSE = 1e-5  # of the largest element: sums of float32 in another order


def steps_off(program: Program, inputs: list[Tensor], opset: int | None = None) -> float:
    """How many steps results are from those of PyTorch, at most."""
    got = run_onnx(exported(program, opset), inputs)
    pairs = zip(got, results_of(program, inputs), strict=True)
    difference = max(np.abs(a.astype(float) - b.numpy().astype(float)).max() for a, b in pairs)
    if program.outputs[0].dtype == "int8":
        return float(difference)
    last = [node for node in program.graph.nodes if node.target is DEQUANTIZE][-1]
    return round(float(difference / last.args[1]), 3)


LARGE = ("attention", "convolutions", "concatenation", "fused_attention", "squeeze")
EACH = [
    pytest.param(name, marks=[pytest.mark.slow] if name in LARGE else [])
    for name in sorted(NETWORKS)
]


@pytest.mark.parametrize("name", EACH)
def test_quantize_nodes(name: str) -> None:
    model, x = NETWORKS[name]()
    assert steps_off(quantized_program(model, x), [x]) <= 1


@pytest.mark.parametrize("opset", [13, None])
@pytest.mark.parametrize("name", EACH)
def test_integer_operators_bit_by_bit(name: str, opset: int | None) -> None:
    program, x = integers_of(name)
    assert steps_off(program, [x], opset) == 0


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8])
def test_limits_and_signs(dtype: torch.dtype) -> None:
    model, x = NETWORKS["convolutions"]()
    assert steps_off(quantized_program(model, x, dtype=dtype), [x]) <= 1
    program = penjing.trace(model.eval(), (x,))
    narrow = optimize(program, ["quantize{activation_bits=4,weight_bits=3}"], calibration=[x])
    model_of_narrow = exported(narrow)
    clips = [node for node in model_of_narrow.graph.node if node.op_type == "Clip"]
    assert clips, "integers of 4 bits need limits of their own"
    assert error_of(narrow, [x]) < 1 / 15  # a step


def perceptron() -> tuple[Program, Tensor]:
    model = nn.Sequential(nn.Embedding(50, 64), nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 64))
    ids = torch.randint(0, 50, (2, 7))
    return penjing.trace(model.eval(), (ids,)), ids


@pytest.mark.parametrize("opset", [13, 18, None])
@pytest.mark.parametrize("bits", [4, 8])
def test_weights_in_groups(bits: int, opset: int | None) -> None:
    program, ids = perceptron()
    rounded = optimize(program, [f"quantize-weights{{bits={bits}}}"])
    assert error_of(rounded, [ids], opset) < CLOSE


def test_weights_of_4_bits_are_blocks() -> None:
    program, _ = perceptron()
    rounded = optimize(program, ["quantize-weights{bits=4}"])
    model = exported(rounded)
    assert model.opset_import[0].version == 21
    stored = {tensor.name: tensor for tensor in model.graph.initializer}["1.weight_int4"]
    assert (stored.data_type, list(stored.dims)) == (onnx.TensorProto.INT4, [128, 64])
    assert len(stored.raw_data) == 128 * 64 // 2
    values = onnx.numpy_helper.to_array(stored).astype(np.int8)
    np.testing.assert_array_equal(values, unpack_int4(rounded.weights["1.weight_int4"]).numpy())
    nodes = [node for node in model.graph.node if node.op_type == "DequantizeLinear"]
    blocks = {a.i for node in nodes for a in node.attribute if a.name == "block_size"}
    assert blocks == {32}


@pytest.mark.parametrize("opset", [13, None])
@pytest.mark.parametrize("options", ["", "{symmetric=true}", '{granularity="tensor"}'])
def test_steps_of_run_time(options: str, opset: int | None) -> None:
    program, ids = perceptron()
    dynamic = optimize(program, ["quantize-dynamic" + options])
    assert error_of(dynamic, [ids], opset) < CLOSE
    folded = optimize(dynamic, ["fold-dynamic-quantization"])
    assert "MatMulInteger" in {node.op_type for node in exported(folded, opset).graph.node}
    assert error_of(folded, [ids], opset) < CLOSE


def test_images_in_steps_of_run_time() -> None:
    x = torch.randn(2, 3, 12, 12)
    program = penjing.trace(nn.Conv2d(3, 64, 3, padding=1), (x,))
    dynamic = optimize(program, ["quantize-dynamic{convolutions=true}"])
    assert error_of(dynamic, [x]) < CLOSE
    assert error_of(optimize(dynamic, ["fold-dynamic-quantization"]), [x]) < CLOSE


@pytest.mark.parametrize("opset", [18, None])
def test_weights_of_4_bits_and_steps_of_run_time(opset: int | None) -> None:
    program, ids = perceptron()
    passes = ["quantize-weights{bits=4}", "quantize-dynamic", "fold-dynamic-quantization"]
    folded = optimize(program, passes)
    assert "linear_int4_rows" in str(folded)
    assert error_of(folded, [ids], opset) < CLOSE


def test_half_precision() -> None:
    program, ids = perceptron()
    half = optimize(program, ["reduce-precision"])
    assert error_of(half, [ids]) < 2e-3


def test_integers_that_go_in_and_out_say_what_they_stand_for() -> None:
    model, x = NETWORKS["depthwise"]()
    passes = ["fold-quantization", "expose-integers"]
    program = optimize(quantized_program(model, x), passes)
    notes = {note.key: note.value for note in exported(program).metadata_props}
    names = (program.input_names[0], program.output_names[0])
    assert set(notes) == {f"{name}.{part}" for name in names for part in ("scale", "zero_point")}
    assert all(float(value) == float(value) for value in notes.values())


def test_a_pruned_network_of_integers() -> None:
    """MobileNetV2, pruned and quantized: onnxruntime gives the same integers but for one step."""
    torch.manual_seed(1)
    model, x = MobileNetV2().eval(), torch.randn(1, 3, 32, 32)
    passes = ["prune-channels{macs=0.6}", "quantize{outputs=integers}"]
    program = optimize(penjing.trace(model, (x,)), passes, calibration=[x, torch.randn_like(x)])
    assert len(program.reports) == 2
    assert steps_off(program, [x]) <= 1
    assert steps_off(optimize(program, ["fold-quantization"]), [x]) == 0
