"""Runs passes on small models, and checks that these still compute what PyTorch computes."""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.fx import Node

from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.ir.verify import verify
from penjing.compiler.pass_base import Pass
from penjing.compiler.pass_manager import optimize

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
        exact = tolerance == 0 or not wanted.numel()
        bound = 0.0 if exact else tolerance * float(wanted.double().abs().max())
        torch.testing.assert_close(got, wanted, rtol=0, atol=bound, equal_nan=True)
        return
    assert len(got) == len(wanted)
    for left, right in zip(got, wanted, strict=True):
        assert_close(left, right, tolerance)


Make = Callable[..., Node | tuple[Node, ...]]
_Specs = tuple[tuple[tuple[int, ...], torch.dtype], ...]


def program_of(
    make: Make, *inputs: torch.Tensor, weights: Sequence[torch.Tensor] = (), outputs: int = 1
) -> Program:
    """A program that returns what `make(before, *input nodes, *weight nodes)` inserts.

    It holds what a pass could leave behind, where `trace` would have normalized it.
    """
    specs = tuple((tuple(x.shape), x.dtype) for x in inputs)
    program = _program_with_interface(specs, outputs).copy()
    end = program.graph.output_node()
    nodes = [program.add_weight(weight, name="w") for weight in weights]
    made = make(end, *program.input_nodes, *nodes)
    end.args = ((made,) if isinstance(made, Node) else made,)
    program.tidy()
    verify(program)
    return program


class _Copies(nn.Module):
    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.outputs = outputs

    def forward(self, x: torch.Tensor, y: torch.Tensor | None = None) -> Any:
        copies = tuple(x.relu() for _ in range(self.outputs))
        return copies if self.outputs > 1 else copies[0]


@cache
def _program_with_interface(specs: _Specs, outputs: int) -> Program:
    inputs = tuple(torch.zeros(shape, dtype=dtype) for shape, dtype in specs)
    return trace(_Copies(outputs), inputs)


def body(program: Program) -> str:
    """The program's text without its inputs."""
    lines = str(program).splitlines()
    return "\n".join(line for line in lines if " = input " not in line)
