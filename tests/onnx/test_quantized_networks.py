"""Networks that onnxruntime quantized: integers on the device, and its results."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from torch import nn
from torch.nn import functional

import penjing
from penjing.compiler.ir.program import Program
from penjing.passes.pipeline import CPU_PIPELINE

SHAPE = (1, 3, 12, 12)
STEPS = 1  # that results may be apart
_BORDERS = {"quantize_per_tensor", "dequantize_per_tensor"}


class Network(nn.Module):
    """Convolutions of three kinds, a residual sum, a concatenation, pooling, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.pointwise = nn.Conv2d(8, 8, 1)
        self.norm = nn.BatchNorm2d(8)
        self.last = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(torch.relu(self.first(x)), 2)
        y = functional.relu6(self.depthwise(x))
        y = torch.sigmoid(self.norm(self.pointwise(y)))
        joined = torch.cat([x + y, y], 1)[:, 4:12]
        result: torch.Tensor = self.last(functional.avg_pool2d(joined, 2).mean((2, 3)))
        return result


class Samples(CalibrationDataReader):  # type: ignore[misc]
    """Random images."""

    def __init__(self) -> None:
        self._left: Iterator[dict[str, np.ndarray]] = iter(
            [{"x": image(seed)} for seed in range(8)]
        )

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._left, None)


def image(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The network in float32, as an ONNX file."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("float") / "network.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        example = (torch.from_numpy(image(0)),)
        torch.onnx.export(Network().eval(), example, path, dynamo=False, input_names=["x"])
    return path


def quantize(
    network: Path, kind: QuantFormat, activation: QuantType, *, weight: QuantType = QuantType.QInt8
) -> Path:
    """What onnxruntime's static quantizer makes of a network."""
    path = network.with_name(f"{kind}_{activation}_{weight}.onnx")
    is_signed = weight is QuantType.QInt8
    quantize_static(
        network,
        path,
        Samples(),
        quant_format=kind,
        activation_type=activation,
        weight_type=weight,
        per_channel=is_signed,
    )
    return path


def expected(path: Path, x: np.ndarray) -> np.ndarray:
    """What onnxruntime calculates."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 3
    (result,) = onnxruntime.InferenceSession(path, options).run(None, {"x": x})
    return np.asarray(result)


def last_step(path: Path) -> float:
    """The scale of the last dequantized value."""
    model = onnx.load(path)
    (last,) = [node for node in model.graph.node if node.output[0] == model.graph.output[0].name]
    assert last.op_type == "DequantizeLinear"
    (scale,) = [value for value in model.graph.initializer if value.name == last.input[1]]
    return float(onnx.numpy_helper.to_array(scale))


def assert_integers(program: Program) -> None:
    """All that is calculated between the borders has 8 bits."""
    for node in program.graph.nodes:
        if node.op == "call_function" and node.target.__name__.split(".")[0] not in _BORDERS:
            assert node.meta["val"].dtype is torch.int8, node.format_node()


@pytest.mark.parametrize("activation", [QuantType.QUInt8, QuantType.QInt8], ids=str)
@pytest.mark.parametrize("kind", [QuantFormat.QDQ, QuantFormat.QOperator], ids=str)
def test_static_quantization_becomes_integers(
    network: Path, kind: QuantFormat, activation: QuantType
) -> None:
    path = quantize(network, kind, activation)
    program = penjing.optimize(penjing.trace(path), CPU_PIPELINE)
    assert_integers(program)
    for seed in range(20, 24):
        apart = program.run(torch.from_numpy(image(seed)))[0].numpy() - expected(path, image(seed))
        assert np.abs(apart / last_step(path)).max() <= STEPS + 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("kind", [QuantFormat.QDQ, QuantFormat.QOperator], ids=str)
def test_weights_with_zero_points_stay_right(network: Path, kind: QuantFormat) -> None:
    """Their steps from zero may need 9 bits, so some of their layers stay real."""
    path = quantize(network, kind, QuantType.QUInt8, weight=QuantType.QUInt8)
    program = penjing.optimize(penjing.trace(path), CPU_PIPELINE)
    apart = program.run(torch.from_numpy(image(20)))[0].numpy() - expected(path, image(20))
    assert np.abs(apart / last_step(path)).max() <= STEPS + 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("kind", [QuantFormat.QDQ, QuantFormat.QOperator], ids=str)
def test_libraries_agree_with_onnxruntime(network: Path, kind: QuantFormat) -> None:
    path = quantize(network, kind, QuantType.QUInt8)
    artifact = penjing.compile(path, target="host")
    for seed in range(20, 24):
        apart = artifact.run(image(seed))[0] - expected(path, image(seed))
        assert np.abs(apart / last_step(path)).max() <= STEPS + 1e-3
