"""What a layer computes, in a few words: for comments in C and for reports."""

import torch
from torch.fx import Node

from ..ir.layout import channels_last_shape
from ..ir.program import node_spec, node_specs
from ..ir.rewrite import arguments_of

_WORDS = {
    "linear": "fully connected",
    "add": "sum of two values",
    "sub": "difference of two values",
    "mul": "product of two values",
    "mean": "mean",
    "avg_pool": "average of windows",
    "max_pool2d": "maximum of windows",
    "table": "function of each element",
    "rescale": "other steps",
    "quantize_per_tensor": "real numbers to integers",
    "dequantize_per_tensor": "integers to real numbers",
    "cat": "parts side by side",
    "reshape": "other shape",
}
_CONVOLUTIONS = ("conv", "convolution", "conv1d", "conv2d", "conv3d")


def describe(node: Node) -> str:
    """The operation of a node and the shapes that it reads and writes."""
    sources = [source for source in node.all_input_nodes if source.op != "get_attr"]
    shapes = f"{_shape(sources[0])} -> {_shape(node)}" if sources else _shape(node)
    return f"{_operation(node)}, {shapes}"


def _operation(node: Node) -> str:
    if not isinstance(node.target, torch._ops.OpOverload):
        return str(node.target)
    name = node.target._opname.removesuffix("_to_float").removesuffix("_int8")
    if name not in _CONVOLUTIONS:
        return _WORDS.get(name, name.replace("_", " "))
    arguments = arguments_of(node)
    _, depth, *taps = node_spec(arguments["weight"]).shape
    kind = "convolution"
    if arguments.get("groups", 1) > 1:
        kind = "depthwise convolution" if depth == 1 else "grouped convolution"
    stride = max(arguments["stride"], default=1)
    return f"{'x'.join(map(str, taps))} {kind}" + (f", stride {stride}" if stride > 1 else "")


def _shape(node: Node) -> str:
    specs = node_specs(node)
    first = next(filter(None, specs)) if isinstance(specs, tuple) else specs
    shape = first.shape
    sizes = channels_last_shape(shape) if len(shape) == 4 else shape
    return "x".join(map(str, sizes[1:] if sizes[:1] == (1,) else sizes)) or "one number"
