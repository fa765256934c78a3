"""Attributes of ONNX nodes as Python values."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from onnx import AttributeProto, NodeProto

from ..errors import CompileError
from .read_tensor import read_sparse, read_tensor


def read_attributes(
    node: NodeProto, folder: Path | None, given: Mapping[str, Any]
) -> dict[str, Any]:
    """The attributes of a node by name.

    Args:
        node: Of a graph, or of the body of a function.
        folder: Where tensors in files lie.
        given: The attributes that the function was called with, which those of its nodes refer to;
            one that was not given is left out.

    Raises:
        CompileError: An attribute is given twice, or its value is malformed.
    """
    found: dict[str, Any] = {}
    for attribute in node.attribute:
        if attribute.name in found:
            raise _broken(node, attribute, "it is given twice")
        if not attribute.ref_attr_name:
            found[attribute.name] = _value(node, attribute, folder)
        elif attribute.ref_attr_name in given:
            found[attribute.name] = given[attribute.ref_attr_name]
    return found


def _value(node: NodeProto, attribute: AttributeProto, folder: Path | None) -> Any:
    kind = attribute.type
    try:
        if kind == AttributeProto.STRING:
            return attribute.s.decode()
        if kind == AttributeProto.STRINGS:
            return [text.decode() for text in attribute.strings]
    except UnicodeDecodeError as error:
        raise _broken(node, attribute, str(error)) from error
    if kind == AttributeProto.TENSOR:
        return read_tensor(attribute.t, folder)
    if kind == AttributeProto.SPARSE_TENSOR:
        return read_sparse(attribute.sparse_tensor, folder)
    if kind in _SCALARS:
        return getattr(attribute, _SCALARS[kind])
    if kind in _LISTS:
        return list(getattr(attribute, _LISTS[kind]))
    raise _broken(node, attribute, f"type {kind}")


_SCALARS = {
    AttributeProto.INT: "i",
    AttributeProto.FLOAT: "f",
    AttributeProto.GRAPH: "g",
    AttributeProto.TYPE_PROTO: "tp",
}
_LISTS = {
    AttributeProto.INTS: "ints",
    AttributeProto.FLOATS: "floats",
    AttributeProto.GRAPHS: "graphs",
}


def _broken(node: NodeProto, attribute: AttributeProto, got: str) -> CompileError:
    return CompileError(
        f"attribute {attribute.name} of a node is malformed",
        at=f"{node.name or (node.output[0] if node.output else '')} ({node.op_type})",
        got=got,
        fix="export the model again; onnx.checker.check_model says more",
    )
