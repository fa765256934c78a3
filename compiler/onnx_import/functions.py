"""Functions: those of a model, and those by which ONNX itself defines some operators."""

from collections.abc import Mapping
from typing import Any

import onnx
from onnx import FunctionProto, ModelProto, TypeProto, helper, numpy_helper

from ..errors import CompileError
from .arrays import torch_dtype
from .call import Call, Value
from .element_types import TORCH_DTYPES
from .load import STANDARD_DOMAINS, read_opsets
from .scope import Scope


def functions_of(model: ModelProto) -> dict[tuple[str, str], FunctionProto]:
    """The functions of a model by domain and name.

    Raises:
        CompileError: Two have one name.
    """
    found: dict[tuple[str, str], FunctionProto] = {}
    for function in model.functions:
        key = ("" if function.domain in STANDARD_DOMAINS else function.domain, function.name)
        if key in found:
            raise CompileError(
                "two functions of the ONNX model have one name", got=".".join(filter(None, key))
            )
        found[key] = function
    return found


def opsets_of(function: FunctionProto, scope: Scope) -> Mapping[str, int]:
    """The operator sets of a function; those of the model where it names none."""
    own = read_opsets(function.opset_import, f"function {function.name}")
    return {**scope.opsets, **own}


def body_in_schema(call: Call) -> FunctionProto | None:
    """The function that defines an operator in the standard; None where there is none."""
    try:
        schema: Any = onnx.defs.get_schema(call.op_type, call.opset, call.domain)
    except onnx.defs.SchemaError:
        return None
    if schema.has_function:
        body: FunctionProto = schema.function_body
        return body
    if not schema.has_context_dependent_function:
        return None
    node = helper.make_node(
        call.op_type,
        [f"i{index}" if call.has(index) else "" for index in range(len(call.inputs))],
        [f"o{index}" if wanted else "" for index, wanted in enumerate(call.outputs_wanted)],
        domain=call.domain,
        **_proto_attributes(call.attributes),
    )
    types = [_type_of(value).SerializeToString() for value in call.inputs]
    version = max(
        (v for v in schema.context_dependent_function_opset_versions if v <= call.opset),
        default=schema.since_version,
    )
    try:
        data = schema.get_context_dependent_function_with_opset_version(
            version, node.SerializeToString(), types
        )
    except Exception as error:  # the standard's own builder, in C++, found something missing
        raise call.refused(str(error).strip().splitlines()[0]) from error
    return FunctionProto.FromString(data) if data else None


def _proto_attributes(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: numpy_helper.from_array(value) if hasattr(value, "dtype") else value
        for name, value in attributes.items()
    }


def _type_of(value: Value | None) -> TypeProto:
    if value is None:
        return TypeProto()
    if value.items is not None:
        first = _type_of(value.items[0]) if value.items else TypeProto()
        return helper.make_sequence_type_proto(first)
    if value.tensor is None:
        return helper.make_tensor_type_proto(onnx.TensorProto.STRING, None)
    number = next(n for n, dtype in TORCH_DTYPES.items() if dtype is value.tensor.dtype)
    if value.known is not None and torch_dtype(value.known) is value.tensor.dtype:
        number = helper.np_dtype_to_tensor_dtype(value.known.dtype)
    return helper.make_tensor_type_proto(number, list(value.tensor.shape))
