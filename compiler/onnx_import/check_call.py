"""Nodes are checked against the standard's own description of their operators."""

from functools import cache

import numpy as np
from onnx import TensorProto, defs

from .arrays import torch_dtype
from .call import Call, Value
from .element_types import TORCH_DTYPES
from .registry import STANDARD

_OPTION = defs.OpSchema.FormalParameterOption
_KIND = defs.OpSchema.AttrType
_TYPE_OF_ATTRIBUTE = {
    _KIND.INT: int,
    _KIND.FLOAT: float,
    _KIND.STRING: str,
    _KIND.TENSOR: np.ndarray,
    _KIND.SPARSE_TENSOR: np.ndarray,
    _KIND.INTS: list,
    _KIND.FLOATS: list,
    _KIND.STRINGS: list,
}
_NAMES = {
    dtype: f"tensor({TensorProto.DataType.Name(number).lower()})"
    for number, dtype in TORCH_DTYPES.items()
}


def check_call(call: Call) -> None:
    """Refuse a node whose inputs or attributes are not what its operator takes.

    PyTorch would take many of them, and calculate something else.

    Raises:
        CompileError: The number of inputs, their element types, or an attribute is wrong.
    """
    schema = _schema(call.op_type, call.opset) if call.domain == STANDARD else None
    if schema is None or schema.deprecated:
        return
    if not schema.min_input <= len(call.inputs) <= schema.max_input:
        raise call.refused(
            f"{len(call.inputs)} inputs, not {schema.min_input} to {schema.max_input}"
        )
    _check_types(call, schema)
    _check_attributes(call, schema)


@cache
def _schema(op_type: str, opset: int) -> defs.OpSchema | None:
    try:
        return defs.get_schema(op_type, opset, STANDARD)
    except defs.SchemaError:
        return None


def _check_types(call: Call, schema: defs.OpSchema) -> None:
    """One type for all inputs that the schema gives one name."""
    bound: dict[str, str] = {}
    for index, value in enumerate(call.inputs):
        formal = schema.inputs[min(index, len(schema.inputs) - 1)]
        if value is None:
            if formal.option is _OPTION.Single:
                raise call.refused(f"input {formal.name} is missing")
            continue
        found = _type_name(value)
        if found is None:
            continue
        if found not in formal.types:
            raise call.refused(f"input {formal.name}, {value.name}, is a {found}")
        is_free = formal.option is _OPTION.Variadic and not formal.is_homogeneous
        if not is_free and bound.setdefault(formal.type_str, found) != found:
            raise call.refused(
                f"input {formal.name}, {value.name}, is a {found} beside a {bound[formal.type_str]}"
            )


def _check_attributes(call: Call, schema: defs.OpSchema) -> None:
    for name, value in call.attributes.items():
        if name not in schema.attributes:
            raise call.refused(f"the operator has no attribute {name}")
        kind = _TYPE_OF_ATTRIBUTE.get(schema.attributes[name].type)
        if kind is not None and not isinstance(value, kind):
            raise call.refused(f"attribute {name} is {value!r}"[:200])
    for name, attribute in schema.attributes.items():
        if attribute.required and name not in call.attributes:
            raise call.refused(f"attribute {name} is missing")


def _type_name(value: Value) -> str | None:
    """As in schemas, tensor(float); None for sequences and empty optionals."""
    if value.tensor is None:
        is_text = value.known is not None and torch_dtype(value.known) is None
        return "tensor(string)" if is_text else None
    if value.known is not None and value.known.dtype.name in ("int2", "int4", "uint2", "uint4"):
        return f"tensor({value.known.dtype.name})"
    return _NAMES.get(value.tensor.dtype)
