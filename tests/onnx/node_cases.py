"""The node tests of the onnx package, run through single translations in eager PyTorch."""

import importlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.backend.test.case.node as node_tests
import pytest
import torch
from onnx.backend.test.case.test_case import TestCase

import penjing.compiler.onnx_import.operators as operators
from penjing.compiler.onnx_import.arrays import as_tensor
from penjing.compiler.onnx_import.call import Call, Value
from penjing.compiler.onnx_import.registry import translation

# The types that compiled libraries hold; cases with others are about casts between rare types.
COMPILED_DTYPES = {"float32", "int8", "uint8", "int32", "int64", "bool"}
assert operators  # importing them registers them

# Inputs that say how large results are or which axis is meant: constants in exported models.
CONSTANT_INPUTS = {
    "Compress": (1,),
    "ConstantOfShape": (0,),
    "CumProd": (1,),
    "CumSum": (1,),
    "Dropout": (1, 2),
    "NonZero": (0,),
    "OneHot": (1,),
    "Range": (0, 1, 2),
    "Resize": (1, 2, 3),
    "Unique": (0,),
    "Upsample": (1,),
}


@dataclass(frozen=True)
class NodeCase:
    """A test of one node: the model, values of its inputs, and what it should give.

    Args:
        name: Of the test: "test_clip_inbounds".
        node: The only node of `model`.
        model: The whole model.
        inputs: Of `node`, None where one is left out; lists are sequences.
        outputs: Of `node`, None where one is left out.
    """

    name: str
    node: onnx.NodeProto
    model: onnx.ModelProto
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    relative_tolerance: float = 1e-3
    absolute_tolerance: float = 1e-7

    @property
    def opset(self) -> int:
        """Version of the operator set of the node's domain."""
        names = {"", "ai.onnx"} if self.node.domain in {"", "ai.onnx"} else {self.node.domain}
        return next(int(o.version) for o in self.model.opset_import if o.domain in names)


@cache
def node_cases(*ops: str) -> tuple[NodeCase, ...]:
    """All tests whose model is one node with one of these operators; functions not expanded."""
    found = [_as_case(case) for case in _collected(ops) if "_expanded" not in case.name]
    single = [case for case in found if len(case.model.graph.node) == 1]
    return tuple(case for case in single if case.node.op_type in ops)


def compiled_dtypes_only(cases: Iterable[NodeCase]) -> list[NodeCase]:
    """The cases all of whose tensors have a dtype that compiled libraries hold."""
    return [case for case in cases if _dtypes([*case.inputs, *case.outputs]) <= COMPILED_DTYPES]


def parametrize(*ops: str) -> pytest.MarkDecorator:
    """A test of each case of these operators with dtypes of compiled libraries."""
    cases = compiled_dtypes_only(node_cases(*ops))
    assert cases, f"no case of {ops}"
    return pytest.mark.parametrize("case", cases, ids=[case.name for case in cases])


def call_of(case: NodeCase, *, all_known: bool = False) -> Call:
    """What the translation of the node sees, with real tensors.

    int64 inputs of at most one axis behind the first are known, as in real files, where shapes and
    axes are constants, and so are `CONSTANT_INPUTS`; `all_known` makes every input known.
    """
    constant = CONSTANT_INPUTS.get(case.node.op_type, ())
    values = [
        _value(f"x{i}", item, i > 0, all_known or i in constant)
        for i, item in enumerate(case.inputs)
    ]
    return Call(
        op_type=case.node.op_type,
        name=case.name,
        opset=case.opset,
        inputs=values,
        attributes={a.name: _attribute(a) for a in case.node.attribute},
        output_count=len(case.node.output),
        outputs_wanted=[name != "" for name in case.node.output],
        domain=case.node.domain,
    )


def run_case(case: NodeCase, *, all_known: bool = False) -> None:
    """Run the translation of the node on the inputs of the test and check what it gives.

    Raises:
        AssertionError: Wrong number, dtype, shape or values of results.
        CompileError: The translation refuses.
    """
    function = translation(case.node.domain, case.node.op_type)
    assert function is not None, f"{case.node.op_type} has no translation"
    with torch.no_grad():
        results = function(call_of(case, all_known=all_known))
    check_results(case, results if isinstance(results, tuple) else (results,))


def check_results(case: NodeCase, results: Sequence[Any]) -> None:
    """Check what the node of a test gave: tensors, arrays, or lists of these."""
    assert len(results) >= len(case.outputs), f"{len(results)} results"
    for got, wanted in zip(results, case.outputs, strict=False):
        if wanted is not None:
            _check_value(case, got, wanted)


def _check_value(case: NodeCase, got: Any, wanted: Any) -> None:
    if isinstance(wanted, list):
        assert len(got) == len(wanted)
        for one, other in zip(got, wanted, strict=True):
            _check_value(case, one, other)
        return
    expected = as_tensor(_as_array(wanted))
    actual = got.detach() if isinstance(got, torch.Tensor) else as_tensor(np.asarray(got))
    assert actual.dtype == expected.dtype, f"{actual.dtype} instead of {expected.dtype}"
    assert actual.shape == expected.shape, f"{actual.shape} instead of {expected.shape}"
    if expected.itemsize == 1 and expected.is_floating_point():
        actual, expected = actual.float(), expected.float()
    torch.testing.assert_close(
        actual,
        expected,
        rtol=case.relative_tolerance if expected.is_floating_point() else 0,
        atol=case.absolute_tolerance if expected.is_floating_point() else 0,
        equal_nan=True,
    )


def _value(name: str, item: Any, is_later: bool, all_known: bool) -> Value | None:
    if item is None:
        return None
    if isinstance(item, list):
        items = [_value(f"{name}.{i}", one, is_later, all_known) for i, one in enumerate(item)]
        return Value(name, items=[one for one in items if one is not None])
    item = _as_array(item)
    if item.dtype.kind in "OUS":  # strings
        return Value(name, known=item)
    is_known = all_known or (is_later and item.dtype == np.int64 and item.ndim <= 1)
    return Value(name, tensor=as_tensor(item), known=item if is_known else None)


def _as_array(item: Any) -> np.ndarray:
    is_proto = isinstance(item, onnx.TensorProto)
    return np.asarray(onnx.numpy_helper.to_array(item) if is_proto else item, order="C")


def _attribute(attribute: onnx.AttributeProto) -> Any:
    found = onnx.helper.get_attribute_value(attribute)
    if isinstance(found, bytes):
        return found.decode()
    if isinstance(found, onnx.TensorProto):
        return onnx.numpy_helper.to_array(found)
    if isinstance(found, onnx.GraphProto):
        return found
    if isinstance(found, (int, float)):
        return found
    return [one.decode() if isinstance(one, bytes) else one for one in found]


def _as_case(case: TestCase) -> NodeCase:
    assert case.model is not None and case.data_sets is not None
    node = case.model.graph.node[0]
    inputs, outputs = case.data_sets[0]
    return NodeCase(
        case.name,
        node,
        case.model,
        _at_names(node.input, inputs),
        _at_names(node.output, outputs),
        max(case.rtol, 1e-3),
        max(case.atol, 1e-7),
    )


def _at_names(names: Sequence[str], values: Sequence[Any]) -> list[Any]:
    left = iter(values)
    return [next(left, None) if name else None for name in names]


def _collected(ops: Sequence[str]) -> list[TestCase]:
    """The tests in those modules of the onnx package that mention one of the operators."""
    folder = Path(next(iter(node_tests.__path__)))
    mentions = re.compile("|".join(rf'"{op}"' for op in ops))
    for file in sorted(folder.glob("*.py")):
        if not file.name.startswith("_") and mentions.search(file.read_text()):
            importlib.import_module(f"{node_tests.__name__}.{file.stem}")
    return list(node_tests._NodeTestCases)


def _dtypes(values: Iterable[Any]) -> set[str]:
    return set(_dtypes_of_each(values))


def _dtypes_of_each(values: Iterable[Any]) -> Iterator[str]:
    for value in values:
        if isinstance(value, list):
            yield from _dtypes_of_each(value)
        elif isinstance(value, onnx.TensorProto):
            yield onnx.helper.tensor_dtype_to_np_dtype(value.data_type).name
        elif value is not None:
            yield np.asarray(value).dtype.name
