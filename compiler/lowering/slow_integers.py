"""Which convolutions of integers would take fewer instructions as ones of real numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch.fx import Node

from ...targets.cpu.layer_costs import ConvolutionSizes, integer_cost, real_cost
from ...targets.target import Target
from ..ir.program import Program, node_specs, origin_of
from ..ir.rewrite import arguments_of
from ..ir.tensor_spec import TensorSpec
from ..quantization import ops as ops  # registers penjing
from .options import KernelOptions

CONV_INT8 = torch.ops.penjing.conv_int8.default
WINOGRAD = KernelOptions().winograd
LEAST_GAIN = 0.95  # of the integer cost: what real numbers must stay below


@dataclass(frozen=True)
class SlowInteger:
    """A conv_int8 node, and about how many instructions it takes either way."""

    node: Node
    integers: int
    real: int

    def described(self) -> dict[str, str | int]:
        """The module it comes from and the instructions, as plain data."""
        at = origin_of(self.node).module_path
        return {"at": at, "integers": self.integers, "real": self.real}


def slow_integers(
    program: Program, target: Target, winograd: int = WINOGRAD
) -> Iterator[SlowInteger]:
    """The conv_int8 nodes that are faster as real numbers on a CPU, conversions included.

    `winograd` is the option of that name of `compile`.
    """
    tiles = KernelOptions(winograd=winograd).winograd_tiles
    for node in program.graph.find_nodes(op="call_function", target=CONV_INT8):
        layer = _sizes(node)
        integers = None if layer is None else integer_cost(layer, target)
        if layer is None or integers is None:
            continue
        real = real_cost(layer, target, tiles)
        if real < LEAST_GAIN * integers:
            yield SlowInteger(node, round(integers), round(real))


def _sizes(node: Node) -> ConvolutionSizes | None:
    arguments = arguments_of(node)
    x, weight = (node_specs(arguments[name]) for name in ("x", "weight"))
    out = node_specs(node)
    if arguments["groups"] != 1:
        return None
    assert isinstance(x, TensorSpec) and isinstance(weight, TensorSpec)
    assert isinstance(out, TensorSpec)
    outputs, depth, *taps = weight.shape
    return ConvolutionSizes(
        batch=out.shape[0],
        outputs=outputs,
        depth=depth,
        taps=tuple(taps),
        sizes=tuple(out.shape[2:]),
        inputs=x.size,
        plain={*arguments["stride"], *arguments["dilation"]} == {1},
    )
