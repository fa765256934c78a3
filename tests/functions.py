"""A function, or a few modules and a function of them, as a module."""

from collections.abc import Callable
from typing import Any

from torch import nn

from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program


class Function(nn.Module):
    """Calls `function(*modules, *args, **kwargs)`."""

    def __init__(self, function: Callable[..., Any], *modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(modules)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*self.parts, *args, **kwargs)


def traced(
    function: Callable[..., Any], *inputs: Any, modules: tuple[nn.Module, ...] = ()
) -> Program:
    """The program of a function of `modules` and `inputs`."""
    return trace(Function(function, *modules).eval(), inputs)


def text_of(function: Callable[..., Any], *inputs: Any) -> str:
    """The text of a function's program after a newline, as a `dedent` of a block begins."""
    return "\n" + str(traced(function, *inputs))
