"""Test cases of the onnx package: single nodes, whole models with data, and network topologies."""

import importlib
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test
import onnx.backend.test.case.node as node_tests
from onnx import ModelProto, TensorProto, TypeProto, numpy_helper
from onnx.backend.test.case.test_case import TestCase

DATA = Path(onnx.backend.test.__file__).with_name("data")
SUITES = {
    "node": "nodes",
    "directory": "model directories",
    "light": "network topologies",
}
# The types that compiled libraries hold; other cases are not counted.
_COUNTED = {
    *(TensorProto.FLOAT, TensorProto.INT8, TensorProto.UINT8),
    *(TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL),
}
# Inputs that decide about shapes or trip counts though they are not int64 vectors behind the
# first input, or parameters of quantization: constants in real files.
_CONSTANT_INPUTS: dict[str, tuple[int, ...]] = {
    "BlackmanWindow": (0,),
    "ConstantOfShape": (0,),
    "CumProd": (1,),
    "CumSum": (1,),
    "DequantizeLinear": (1, 2),
    "Dropout": (1, 2),
    "GRU": (4,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "LSTM": (4,),
    "Loop": (0, 1),
    "MelWeightMatrix": (0, 1, 2, 3, 4),
    "OneHot": (1,),
    "QLinearConv": (1, 2, 4, 5, 6, 7),
    "QLinearMatMul": (1, 2, 4, 5, 6, 7),
    "QuantizeLinear": (1, 2),
    "RNN": (4,),
    "Range": (0, 1, 2),
    "Resize": (1, 2),
    "Upsample": (1,),
}


@dataclass(frozen=True)
class OnnxCase:
    """A model, inputs for it and what it should give.

    Args:
        suite: A key of `SUITES`.
        name: Of the test.
        op: The operator that the test is about; for whole models their suite.
        model: The file's bytes.
        inputs: Arrays, or lists of them for sequences, in the order of the graph's inputs.
        outputs: The same for outputs.
    """

    suite: str
    name: str
    op: str
    model: bytes
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    relative_tolerance: float = 1e-3
    absolute_tolerance: float = 1e-7


def node_cases(*modules: str, counted_only: bool = True) -> Iterator[OnnxCase]:
    """The tests of single nodes, and of the same operators expanded into others.

    Args:
        modules: Only those of these modules of onnx.backend.test.case.node, by default of all.
        counted_only: Leave out those with dtypes that compiled libraries do not hold.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # NumPy, about NaN
        found = _collected(modules)
    ops = {case.name: _op(case.model) for case in found if case.model is not None}
    for case in found:
        assert case.model is not None and case.data_sets is not None, case.name
        if counted_only and not _is_counted(case.model):
            continue
        inputs, outputs = case.data_sets[0]
        op = ops.get(re.sub("_expanded.*", "", case.name), ops[case.name])
        model, inputs = with_constants(case.model, [_plain(value) for value in inputs], op)
        yield OnnxCase(
            "node",
            case.name,
            op,
            model.SerializeToString(),
            inputs,
            [_plain(value) for value in outputs],
            case.rtol,
            case.atol,
        )


def _collected(modules: Sequence[str]) -> list[TestCase]:
    if not modules:
        return [case for case in node_tests.collect_testcases(None) if case.model is not None]
    for module in modules:
        importlib.import_module(f"{node_tests.__name__}.{module}")
    return [case for case in node_tests._NodeTestCases if case.model is not None]


def directory_cases() -> Iterator[OnnxCase]:
    """The directories of the onnx package that hold a model and data for it."""
    for folder in sorted(DATA.glob("*/*/")):
        file = folder / "model.onnx"
        if not file.exists():
            continue
        model = onnx.load(file)
        values = folder / "test_data_set_0"
        weights = {tensor.name for tensor in model.graph.initializer}
        given = [value for value in model.graph.input if value.name not in weights]
        inputs = [_stored(values / f"input_{i}.pb", v.type) for i, v in enumerate(given)]
        outputs = [
            _stored(values / f"output_{i}.pb", v.type) for i, v in enumerate(model.graph.output)
        ]
        name = f"{folder.parent.name}/{folder.name}"
        bound, inputs = with_constants(model, inputs, "")
        yield OnnxCase("directory", name, "", bound.SerializeToString(), inputs, outputs)


def light_cases() -> Iterator[OnnxCase]:
    """Topologies of known networks, whose weights are constants that the file calculates."""
    for file in sorted((DATA / "light").glob("*.onnx")):
        model = onnx.load(file)
        weights = {tensor.name for tensor in model.graph.initializer}
        inputs = [value for value in model.graph.input if value.name not in weights]
        output = file.with_name(f"{file.stem}_output_0.pb")
        yield OnnxCase(
            "light",
            file.stem,
            "",
            file.read_bytes(),
            [_ramp([d.dim_value for d in v.type.tensor_type.shape.dim]) for v in inputs],
            [_stored(output, value.type) for value in model.graph.output],
        )


def with_constants(
    model: ModelProto, inputs: Sequence[Any], op: str
) -> tuple[ModelProto, list[Any]]:
    """A copy with the inputs that say shapes, axes or scales as constants, and the other inputs."""
    bound = ModelProto()
    bound.CopyFrom(model)
    graph = bound.graph
    positions = _positions(graph, op)
    dynamic = []
    weights = {tensor.name for tensor in graph.initializer}
    given = [value for value in graph.input if value.name not in weights]
    for index, (value, array) in enumerate(zip(given, inputs, strict=True)):
        if not _is_constant(index, positions.get(value.name, index), array, op):
            dynamic.append(array)
            continue
        graph.initializer.append(numpy_helper.from_array(array, value.name))
        graph.input.remove(value)
    return bound, dynamic


def _positions(graph: onnx.GraphProto, op: str) -> dict[str, int]:
    """At which input of its operator each value of a graph stands, optional ones counted."""
    nodes = [node for node in graph.node if node.op_type == op]
    return {name: i for node in nodes[:1] for i, name in enumerate(node.input)}


def _is_constant(index: int, position: int, value: Any, op: str) -> bool:
    if not isinstance(value, np.ndarray):
        return False
    is_shape = index > 0 and value.dtype == np.int64 and value.ndim <= 1
    return is_shape or position in _CONSTANT_INPUTS.get(op, ())


def _op(model: ModelProto) -> str:
    return str(model.graph.node[0].op_type)


def _is_counted(model: ModelProto) -> bool:
    values = [*model.graph.input, *model.graph.output]
    return all(set(_element_types(value.type)) <= _COUNTED for value in values)


def _element_types(kind: TypeProto) -> Iterator[int]:
    """The element types of a value, through sequences and optionals."""
    which = kind.WhichOneof("value")
    if which == "tensor_type":
        yield kind.tensor_type.elem_type
    elif which in ("sequence_type", "optional_type"):
        yield from _element_types(getattr(kind, which).elem_type)
    else:
        yield TensorProto.UNDEFINED


def _plain(value: Any) -> Any:
    """A value of a test as an array, a list of arrays, or None."""
    if isinstance(value, TensorProto):
        return numpy_helper.to_array(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if value is None else np.asarray(value)


def _ramp(shape: Sequence[int]) -> np.ndarray:
    """Numbers from 0 to 1 as onnx's test runner feeds them to the topologies."""
    size = int(np.prod(shape))
    return (np.arange(size).reshape(shape) / size).astype(np.float32)


def _stored(file: Path, kind: TypeProto) -> Any:
    """What a file of a test holds: a tensor, or a sequence of them."""
    content = file.read_bytes()
    if kind.WhichOneof("value") == "sequence_type":
        return list(numpy_helper.to_list(onnx.SequenceProto.FromString(content)))
    return numpy_helper.to_array(TensorProto.FromString(content))
