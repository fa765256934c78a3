"""Runs passes on small models, and checks that these still compute what PyTorch computes."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from penjing.compiler.frontend.trace import trace
from penjing.compiler.pass_base import Pass
from penjing.compiler.pass_manager import optimize
from penjing.compiler.program import Program

Inputs = tuple[torch.Tensor, ...]


def random_inputs(*shape: int | torch.Tensor) -> Inputs:
    """One random tensor of that shape, or the tensors themselves."""
    tensors = tuple(part for part in shape if isinstance(part, torch.Tensor))
    sizes = [part for part in shape if isinstance(part, int)]
    generator = torch.Generator().manual_seed(0)
    return tensors or (torch.randn(sizes, generator=generator),)


def optimized(
    passes: str | Sequence[Pass | str],
    model: nn.Module,
    *shape: int | torch.Tensor,
    tolerance: float = 0.0,
) -> Program:
    """The model traced and optimized; its values are those of PyTorch.

    Args:
        passes: What `optimize` takes.
        model: Put into evaluation mode.
        shape: Shape of the one input, or the input tensors.
        tolerance: Largest difference from PyTorch, relative to the largest output.
    """
    inputs = random_inputs(*shape)
    program = optimize(trace(model.eval(), inputs), passes)
    with torch.no_grad():
        assert_close(program.run(*inputs), model(*inputs), tolerance)
    return program


def after(
    passes: str | Sequence[Pass | str],
    model: nn.Module,
    *shape: int | torch.Tensor,
    tolerance: float = 0.0,
) -> str:
    """The text of `optimized(...)` after a newline, as a `dedent` of a block of text begins."""
    return "\n" + str(optimized(passes, model, *shape, tolerance=tolerance))


def assert_close(got: Any, wanted: Any, tolerance: float) -> None:
    """Equal structure, shapes and dtypes; values within `tolerance` of the largest one."""
    if isinstance(wanted, torch.Tensor):
        assert got.shape == wanted.shape
        assert got.dtype == wanted.dtype
        bound = tolerance * float(wanted.abs().max()) if tolerance else 0.0
        torch.testing.assert_close(got, wanted, rtol=0, atol=bound, equal_nan=True)
        return
    assert len(got) == len(wanted)
    for left, right in zip(got, wanted, strict=True):
        assert_close(left, right, tolerance)
