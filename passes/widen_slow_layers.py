"""Convolutions of integers -> ones of real numbers, where a core is faster at these."""

from dataclasses import dataclass

import torch
from torch.fx import Node

from ..compiler.errors import CompileError
from ..compiler.ir.program import Program
from ..compiler.ir.rewrite import arguments_of, insert_call, replace_by
from ..compiler.pass_base import Pass
from ..compiler.quantization.scales import QuantizedRange
from .integer.values import QUANTIZE, add_constant, dequantized

_HIGH_BITS = 31  # multipliers are fractions of 2^31


@dataclass(frozen=True)
class WidenSlowLayers(Pass):
    """Compute convolutions of int8 in float32 where that executes fewer instructions.

    That is so for 3 x 3 taps by Winograd's algorithm on cores without dot products. What is stored
    between layers stays int8: dequantize, the convolution in steps of its result, quantize. The
    costs come from the tables that tiles are chosen by. Weights of these layers take 4 bytes each,
    and four times as many in Winograd's algorithm.

    Args:
        winograd: As given to `compile`.

    Needs: a target; integer operators, so it runs behind `fold-quantization`.
    Keeps: every integer within one step of that of the integer layer, and nearly all equal.
    """

    name = "widen-slow-layers"
    contract = "tolerance"
    comes_last = True

    winograd: int = 4

    def run(self, program: Program) -> int:
        """Widen the slow layers; the number of them."""
        from ..compiler.lowering.slow_integers import slow_integers  # TVM takes a second to import

        target = self.context.target
        if target is None:
            raise CompileError(
                f"{self.name} needs a target", fix='give optimize target="arm-a72", for example'
            )
        slow = list(slow_integers(program, target, self.winograd))
        for layer in slow:
            replace_by(layer.node, _widened(program, layer.node))
        self.report.details["instructions"] = [layer.described() for layer in slow]
        program.drop_dead()
        return len(slow)


def _widened(program: Program, node: Node) -> Node:
    """conv_int8 as dequantize, a convolution whose results are steps, quantize."""
    arguments = arguments_of(node)
    weight, bias, multiplier = (
        program.weight(arguments[name]).double() for name in ("weight", "bias", "multiplier")
    )
    zero_point = arguments["input_zero_point"]
    scale = multiplier * 2.0 ** (arguments["shift"] - _HIGH_BITS)
    # The bias of integers makes up for the zero point of the input.
    own = bias + zero_point * weight.flatten(1).sum(1)
    steps = weight * scale.view(-1, *[1] * (weight.dim() - 1))
    operator = {3: torch.ops.aten.conv1d, 4: torch.ops.aten.conv2d, 5: torch.ops.aten.conv3d}
    real = insert_call(
        node,
        operator[weight.dim()].default,
        dequantized(node, arguments["x"], QuantizedRange(1.0, zero_point)),
        add_constant(program, node, "weight_steps", steps.float()),
        add_constant(program, node, "bias_steps", (own * scale).float()),
        *(arguments[name] for name in ("stride", "padding", "dilation", "groups")),
    )
    bounds = (arguments[name] for name in ("zero_point", "low", "high"))
    return insert_call(node, QUANTIZE, real, 1.0, *bounds, torch.int8)
