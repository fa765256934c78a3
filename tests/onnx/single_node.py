"""Single nodes that onnxruntime and a translation calculate, compared."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import helper
from onnxruntime.capi import onnxruntime_pybind11_state as errors

import penjing.compiler.onnx_import.operators as operators
from penjing.compiler.onnx_import.arrays import as_tensor
from penjing.compiler.onnx_import.call import Call, Value
from penjing.compiler.onnx_import.registry import translation

assert operators  # importing them registers them
Inputs = Sequence[np.ndarray | None]
_OPSET = 17
_REFUSALS = (errors.Fail, errors.InvalidArgument, errors.RuntimeException, errors.NotImplemented)
_STEPS = 1  # of integers: onnxruntime rounds products once more


class RefusedByOnnxruntime(Exception):
    """onnxruntime has no kernel for these attributes."""


def _reference(
    op: str, inputs: Inputs, outputs: int, attributes: dict[str, Any], domain: str, opset: int
) -> list[np.ndarray]:
    """What onnxruntime gives for one node."""
    names = [f"x{index}" if array is not None else "" for index, array in enumerate(inputs)]
    results = [f"y{index}" for index in range(outputs)]
    node = helper.make_node(op, names, results, domain=domain, **attributes)
    given = {name: array for name, array in zip(names, inputs, strict=True) if array is not None}
    # parameters of quantization must be constants
    constants = {name: a for name, a in given.items() if name != "x0" and a.size < 2}
    graph = helper.make_graph(
        [node],
        op,
        [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in given.items()
            if name not in constants
        ],
        [onnx.ValueInfoProto(name=name) for name in results],
        [onnx.numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    fed = {name: array for name, array in given.items() if name not in constants}
    return list(session.run(None, fed))


def check(
    op: str,
    inputs: Inputs,
    *,
    outputs: int = 1,
    domain: str = "com.microsoft",
    version: int = _OPSET,
    **attributes: Any,
) -> None:
    """Compare what a translation gives with onnxruntime.

    Raises:
        RefusedByOnnxruntime: There is nothing to compare with.
    """
    try:
        expected = _reference(op, inputs, outputs, attributes, domain, version)
    except _REFUSALS as error:
        raise RefusedByOnnxruntime(str(error)) from error
    values = [
        None if array is None else Value(f"x{index}", as_tensor(array), array)
        for index, array in enumerate(inputs)
    ]
    wanted = [True] * outputs
    call = Call(op, op, version if not domain else 1, values, attributes, outputs, wanted, domain)
    function = translation(domain, op)
    assert function is not None
    results = function(call)
    results = results if isinstance(results, tuple) else (results,)
    for got, array in zip(results, expected, strict=True):
        assert got.shape == array.shape and got.dtype == as_tensor(array).dtype
        if array.dtype in (np.int8, np.uint8):
            assert (got.int() - torch.from_numpy(array).int()).abs().max() <= _STEPS
        else:
            torch.testing.assert_close(got, torch.from_numpy(array), rtol=1e-4, atol=1e-5)


def reals(*shape: int, seed: int = 0) -> np.ndarray:
    """Random float32 numbers."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape).astype(np.float32)


def integers(*shape: int, dtype: type = np.uint8, seed: int = 0) -> np.ndarray:
    """Random integers of 8 bits."""
    limits = np.iinfo(dtype)
    return np.random.default_rng([seed, *shape]).integers(
        limits.min, limits.max, shape, dtype, endpoint=True
    )


def number(value: float, dtype: type = np.float32) -> np.ndarray:
    """A scalar."""
    return np.array(value, dtype)
