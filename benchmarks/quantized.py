"""The networks with int8 weights and activations, as `Quantize` makes them."""

import torch
from torch import nn

from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import optimize
from penjing.passes import Quantize

_BATCHES = 2  # ranges of random numbers do not get better with more

Inputs = tuple[torch.Tensor, ...]


def quantized(model: nn.Module, inputs: Inputs) -> tuple[Program, Inputs]:
    """A network after `Quantize`, calibrated on random numbers, and its inputs."""
    batches = [tuple(_like(tensor) for tensor in inputs) for _ in range(_BATCHES)]
    program = trace(model, inputs)
    return optimize(program, [Quantize()], calibration=batches), inputs


def _like(tensor: torch.Tensor) -> torch.Tensor:
    """Other random numbers, or the same identifiers and masks."""
    return torch.randn_like(tensor) if tensor.is_floating_point() else tensor
