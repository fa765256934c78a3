"""Small ONNX models for tests."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

OPSET = 18


def model_of(
    nodes: Sequence[NodeProto],
    inputs: Mapping[str, Sequence[int | str | None]],
    outputs: Sequence[str],
    weights: Mapping[str, Any] | None = None,
    *,
    opset: int = OPSET,
    dtype: int = TensorProto.FLOAT,
    **options: Any,
) -> onnx.ModelProto:
    """A model of these nodes; its inputs are of one type, its outputs of any."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, dtype, shape) for name, shape in inputs.items()],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in (weights or {}).items()],
    )
    options.setdefault("opset_imports", [helper.make_opsetid("", opset)])
    return helper.make_model(graph, **options)


def node(op_type: str, inputs: str, outputs: str, **attributes: Any) -> NodeProto:
    """A node; names are separated by spaces, `-` leaves one out."""
    read, given = (["" if n == "-" else n for n in names.split()] for names in (inputs, outputs))
    return helper.make_node(op_type, read, given, **attributes)
