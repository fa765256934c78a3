"""From PyTorch to ONNX and back, from ONNX to ONNX: the same values and names."""

import io

import numpy as np
import onnx
import pytest
import torch
from torch import nn

import penjing
import penjing.passes
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize
from tests.zoo import ZOO, make

from .exported import exported, largest_error, results_of, run_onnx

TOLERANCE = 1e-4
SAMPLE = ("own_mobilenet_v2", "own_transformer")
# Layers whose weights ONNX keeps in another order: their parts are constants when they come back.
RECURRENT = ("own_lstm", "own_gru", "own_rnn", "own_bidirectional_lstm")


def traced_model(name: str) -> tuple[Program, list[torch.Tensor]]:
    model, inputs = make(name)
    program = penjing.trace(model, inputs)
    named = ((), inputs) if isinstance(inputs, dict) else (inputs, {})
    return program, program.flatten_inputs(*named)


@pytest.mark.parametrize("name", SAMPLE)
def test_there_and_back(name: str) -> None:
    check_round_trip(name)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(ZOO) - set(SAMPLE)))
def test_all_there_and_back(name: str) -> None:
    check_round_trip(name)


def check_round_trip(name: str) -> None:
    program, inputs = traced_model(name)
    back = penjing.trace(exported(program), tuple(inputs))
    assert (back.input_names, back.output_names) == (program.input_names, program.output_names)
    got = [tensor.numpy() for tensor in results_of(back, inputs)]
    assert largest_error(got, results_of(program, inputs)) < TOLERANCE
    if name not in RECURRENT:
        parameters = {name for name, t in program.weights.items() if isinstance(t, nn.Parameter)}
        assert not [name for name in parameters if name not in back.weights]


def test_nodes_keep_their_names() -> None:
    program, inputs = traced_model("own_mobilenet_v2")
    once = exported(program)
    twice = exported(penjing.trace(once, tuple(inputs)))
    names = [[node.name for node in m.graph.node if node.op_type == "Conv"] for m in (once, twice)]
    assert names[0] == names[1]
    assert names[0][0] == "/stem/0/Conv"


def test_weights_are_trained_and_statistics_are_not() -> None:
    program, inputs = traced_model("own_mobilenet_v2")
    back = penjing.trace(exported(program), tuple(inputs))
    for name, weight in program.weights.items():
        assert isinstance(back.weights[name], nn.Parameter) == isinstance(weight, nn.Parameter), (
            name
        )


def test_a_compiled_model_that_was_exported() -> None:
    program, inputs = traced_model("own_transformer")
    artifact = penjing.compile(exported(program), tuple(inputs), target="host")
    got = [np.asarray(result) for result in artifact.run(*inputs)]
    assert largest_error(got, results_of(program, inputs)) < TOLERANCE


def test_a_quantized_model_comes_back_quantized() -> None:
    """The nodes are the same, so what they are folded into is the same, bit by bit."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 5))
    x = torch.randn(2, 3, 8, 8)
    program = optimize(penjing.trace(model, (x,)), ["quantize"], calibration=[x])
    back = penjing.trace(exported(program), (x,))
    folded = [optimize(each, ["fold-quantization"]) for each in (program, back)]
    assert all("penjing.conv_int8" in str(each) for each in folded)
    assert torch.equal(*(each.run(x) for each in folded))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of PyTorch's older, faster exporter
def test_a_model_of_pytorch_own_exporter() -> None:
    """What torch.onnx.export writes is pruned, quantized, exported again and run by onnxruntime."""
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 24, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(24, 10),
    ).eval()
    x = torch.randn(1, 3, 16, 16)
    file = io.BytesIO()
    torch.onnx.export(model, (x,), file, dynamo=False)  # type: ignore[arg-type]
    program = penjing.trace(onnx.load_from_string(file.getvalue()), (x,))
    passes = ["prune-channels{macs=0.6}", "quantize"]
    small = optimize(program, passes, calibration=[x, torch.randn_like(x)])
    assert small.reports[0].rewrites
    got = run_onnx(exported(small), [x])
    assert largest_error(got, results_of(small, [x])) < 1e-2  # a step of the result is 4e-3
