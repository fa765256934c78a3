"""Folds batch norms into the weights of the layers before or after them."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

from ..compiler.ir.program import Program, node_spec, origin_of
from ..compiler.ir.rewrite import (
    arguments_of,
    change_weight,
    insert_call,
    replace_by,
    replace_call,
    shape_of,
    weight_of,
)
from ..compiler.pass_base import Pass

_ATEN = torch.ops.aten
_CONVS = {_ATEN.conv1d.default, _ATEN.conv2d.default, _ATEN.conv3d.default}
_TRANSPOSED_CONVS = {
    _ATEN.conv_transpose1d.default,
    _ATEN.conv_transpose2d.input,
    _ATEN.conv_transpose3d.input,
}
_LINEAR = _ATEN.linear.default
_WRITTEN_OUT = (torch.float32, torch.float64)


class FoldBatchNorm(Pass):
    """Make every batch norm part of a neighboring layer, or a multiplication and an addition.

    A batch norm with running statistics is y = x * scale + shift per channel. It is folded into

    1. the convolution, transposed convolution or linear layer that computes x for it alone, else
    2. the convolution without padding or linear layer that alone reads y, else
    3. `x * scale + shift`, which can fuse with its neighbors.

    Needs: weights that are constants.
    Keeps: values within 1e-5 of the largest output in float32 (new weights are computed in
        float64), within the rounding of the weights in smaller types.
    Skips: batch norms that use the statistics of the batch; 3. in float16 and bfloat16.
    """

    name = "fold-batch-norm"
    contract = "tolerance"

    def run(self, program: Program) -> int:
        norms = program.graph.find_nodes(op="call_function", target=_ATEN.batch_norm.default)
        return sum(self._fold(program, norm) for norm in norms)

    def _fold(self, program: Program, norm: Node) -> bool:
        arguments = arguments_of(norm)
        if reason := _reason_to_keep(program, arguments):
            self.report.skip(norm, reason)
            return False
        affine = _affine(program, arguments)
        origin = str(origin_of(norm))
        if _fold_into_producer(program, norm, affine):
            self.report.details[origin] = "folded into the layer before it"
        elif _fold_into_reader(program, norm, affine):
            self.report.details[origin] = "folded into the layer after it"
        elif node_spec(norm).torch_dtype in _WRITTEN_OUT:
            _write_out(program, norm, affine)
            self.report.details[origin] = "written as multiplication and addition"
        else:
            self.report.skip(norm, f"no layer to fold it into, and {node_spec(norm).dtype}")
            return False
        return True


@dataclass(frozen=True)
class _Affine:
    """y = x * scale + shift, both [channels] in float64."""

    scale: Tensor
    shift: Tensor


def _reason_to_keep(program: Program, arguments: dict[str, Any]) -> str:
    if arguments["training"]:
        return "it normalizes by the statistics of the batch"
    tensors = [arguments[name] for name in ("weight", "bias", "running_mean", "running_var")]
    if any(t is not None and weight_of(program, t) is None for t in tensors):
        return "its statistics or weights are no constants"
    return ""


def _affine(program: Program, arguments: dict[str, Any]) -> _Affine:
    def value(name: str) -> Tensor | None:
        tensor = weight_of(program, arguments[name])
        return None if tensor is None else tensor.double()

    mean, variance, weight, bias = map(value, ("running_mean", "running_var", "weight", "bias"))
    assert mean is not None and variance is not None
    scale = (variance + arguments["eps"]).rsqrt()
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    return _Affine(scale, shift)


def _fold_into_producer(program: Program, norm: Node, affine: _Affine) -> bool:
    layer = norm.args[0]
    assert isinstance(layer, Node)
    weights = _layer_weights(program, layer)
    if weights is None or len(layer.users) > 1 or node_spec(layer) != node_spec(norm):
        return False
    weight, bias = weights
    if layer.target in _TRANSPOSED_CONVS:
        groups = arguments_of(layer)["groups"]
        by_group = weight.unflatten(0, (groups, -1))  # [groups, in, out, ...]
        scale = affine.scale.view(groups, 1, -1, *[1] * (weight.dim() - 2))
        scaled = (by_group * scale).flatten(0, 1)
    else:
        scaled = weight * affine.scale.view(-1, *[1] * (weight.dim() - 1))
    _set_weights(program, layer, scaled, bias * affine.scale + affine.shift)
    replace_by(norm, layer)
    return True


def _fold_into_reader(program: Program, norm: Node, affine: _Affine) -> bool:
    layer = next(iter(norm.users), None)
    weights = None if layer is None else _layer_weights(program, layer)
    if layer is None or weights is None or len(norm.users) > 1 or layer.args[0] is not norm:
        return False
    arguments = arguments_of(layer)
    if layer.target in _TRANSPOSED_CONVS or any(_sizes(arguments.get("padding", 0))):
        return False  # the border sees no shift
    weight, bias = weights
    groups = arguments.get("groups", 1)
    by_group = weight.unflatten(0, (groups, -1))  # [groups, out, in, ...]
    shape = (groups, 1, -1, *[1] * (weight.dim() - 2))
    added = (by_group * affine.shift.view(shape)).flatten(2).sum(2).flatten()
    scaled = (by_group * affine.scale.view(shape)).flatten(0, 1)
    _set_weights(program, layer, scaled, bias + added)
    source = norm.args[0]
    assert isinstance(source, Node)
    replace_by(norm, source)
    return True


def _write_out(program: Program, norm: Node, affine: _Affine) -> None:
    arguments = arguments_of(norm)
    x, dtype = arguments["input"], node_spec(norm).torch_dtype
    shape = (-1, *[1] * (len(shape_of(norm)) - 2))
    scale, shift = (
        program.add_weight(
            nn.Parameter(value.view(shape).to(dtype)),
            _beside(arguments["running_mean"], name),
            norm,
        )
        for name, value in (("scale", affine.scale), ("shift", affine.shift))
    )
    scaled = insert_call(norm, _ATEN.mul.Tensor, x, scale)
    replace_call(norm, _ATEN.add.Tensor, scaled, shift)


def _layer_weights(program: Program, layer: Node) -> tuple[Tensor, Tensor] | None:
    """Weight and bias (zeros for none) in float64 of a layer whose channels are axis 1."""
    if layer.target not in {*_CONVS, *_TRANSPOSED_CONVS, _LINEAR}:
        return None
    arguments = arguments_of(layer)
    weight, bias = (weight_of(program, arguments[name]) for name in ("weight", "bias"))
    if weight is None or (bias is None and arguments["bias"] is not None):
        return None
    if not len(shape_of(layer)) == len(shape_of(layer.args[0])) == weight.dim():  # type: ignore[arg-type]
        return None  # without a batch axis, or linear over an axis that is not the channels
    channels = torch.zeros(shape_of(layer)[1], dtype=torch.float64)
    return weight.double(), channels if bias is None else bias.double()


def _set_weights(program: Program, layer: Node, weight: Tensor, bias: Tensor) -> None:
    node, old_bias = arguments_of(layer)["weight"], arguments_of(layer)["bias"]
    dtype = node_spec(node).torch_dtype
    if old_bias is None:
        name = _beside(node, "bias")
        trained = isinstance(program.weight(node), nn.Parameter)
        new = nn.Parameter(bias.to(dtype)) if trained else bias.to(dtype)
        new_bias = program.add_weight(new, name=name, like=layer)
    else:
        new_bias = change_weight(program, [layer], old_bias, bias.to(dtype))
    new_weight = change_weight(program, [layer], node, weight.to(dtype))
    layer.args = (layer.args[0], new_weight, new_bias, *layer.args[3:])


def _sizes(padding: Any) -> list[Any]:
    return [padding] if isinstance(padding, int) else list(padding)


def _beside(weight: Node, name: str) -> str:
    """The name of a new weight in the module of another; ONNX has weights without one."""
    module, _, own = str(weight.target).rpartition(".")
    return f"{module}.{name}" if module else f"{own}_{name}"
