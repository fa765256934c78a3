"""A node of a program as `targets/cortex_m` sees it: without PyTorch, images channels last."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.fx import Node

from ...targets.cortex_m.layer import NodeArguments, Operand
from ..ir.layout import channels_last_shape
from ..ir.program import Program, node_spec, origin_of
from ..ir.rewrite import arguments_of
from .region import weight_array

_IMAGE_RANK = 4
_CHANNELS_LAST = (0, 3, 1, 2)  # where the axes [N, C, H, W] are


def node_arguments(program: Program, node: Node) -> tuple[NodeArguments, list[Node]]:
    """The operator of a node with its arguments, and the nodes that are computed at run time.

    Args:
        program: Has the weights.
        node: A call with one result.
    """
    inputs: list[tuple[str, Node]] = []
    constants: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for name, value in arguments_of(node).items():
        if isinstance(value, Node) and value.op == "get_attr":
            constants[name] = weight_array(program.weight(value))
        elif isinstance(value, Node):
            inputs.append((name, value))
        elif isinstance(value, (list, tuple)) and any(isinstance(item, Node) for item in value):
            inputs += [(f"{name}{index}", item) for index, item in enumerate(value)]
        else:
            values[name] = list(value) if isinstance(value, (list, tuple)) else value
    if "dim" in values and inputs:
        values["dim"] = _stored_axes(values["dim"], len(node_spec(inputs[0][1]).shape))
    arguments = NodeArguments(
        op=_operator_name(node),
        inputs=tuple(_operand(name, source) for name, source in inputs),
        output=_operand("y", node),
        constants=constants,
        values=values,
        module=origin_of(node).module_path,
    )
    return arguments, [source for _, source in inputs]


def _operator_name(node: Node) -> str:
    assert isinstance(node.target, torch._ops.OpOverload), node
    return f"{node.target.namespace}.{node.target._opname}"


def _operand(name: str, node: Node) -> Operand:
    spec = node_spec(node)
    is_image = len(spec.shape) == _IMAGE_RANK
    return Operand(name, channels_last_shape(spec.shape) if is_image else spec.shape, spec.dtype)


def _stored_axes(dim: Any, rank: int) -> Any:
    """Axes of PyTorch as axes in memory."""
    if isinstance(dim, Sequence):
        return [_stored_axes(axis, rank) for axis in dim]
    if not isinstance(dim, int):
        return dim
    axis = dim % rank
    return _CHANNELS_LAST[axis] if rank == _IMAGE_RANK else axis
