"""Exported models, run by onnxruntime and compared with the programs that they came from."""

from collections.abc import Sequence

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

from penjing.compiler.ir.program import Program

# Left to itself, onnxruntime rounds what layers with int8 weights read to int8 as well.
_AS_WRITTEN = ("session.qdq_matmulnbits_accuracy_level", "1")


def run_onnx(model: onnx.ModelProto | str, inputs: Sequence[Tensor]) -> list[np.ndarray]:
    """What onnxruntime gives for inputs in the order of the model's."""
    options = onnxruntime.SessionOptions()
    options.add_session_config_entry(*_AS_WRITTEN)
    options.intra_op_num_threads = 1
    source = model if isinstance(model, str) else model.SerializeToString()
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    given = dict(zip(names, (tensor.numpy() for tensor in inputs), strict=True))
    results: list[np.ndarray] = session.run(None, given)
    return results


def exported(program: Program, opset: int | None = None) -> onnx.ModelProto:
    """The model of a program, checked with all of its shapes and types."""
    model = program.to_onnx(opset=opset)
    onnx.checker.check_model(model, full_check=True)
    return model


def error_of(program: Program, inputs: Sequence[Tensor], opset: int | None = None) -> float:
    """The largest difference, relative to the largest element of an output."""
    return largest_error(run_onnx(exported(program, opset), inputs), results_of(program, inputs))


def results_of(program: Program, inputs: Sequence[Tensor]) -> list[Tensor]:
    """What PyTorch gives."""
    with torch.no_grad():
        return program.run_flat(*inputs)


def largest_error(got: Sequence[np.ndarray], wanted: Sequence[Tensor]) -> float:
    """The largest difference, relative to the largest element of an output; types must agree."""
    errors = []
    for array, tensor in zip(got, wanted, strict=True):
        expected = tensor.numpy()
        assert (array.shape, array.dtype) == (expected.shape, expected.dtype)
        same = (array == expected) | (
            np.isnan(array.astype(float)) & np.isnan(expected.astype(float))
        )
        difference = np.abs(array.astype(np.float64) - expected)[~same]
        largest = np.abs(expected.astype(np.float64)).max(initial=1e-30)
        errors.append(float(difference.max(initial=0.0) / largest))
    return max(errors, default=0.0)
