"""TIR for layers, in few words: pointers, addresses, loops and calls of micro-kernels."""

from collections.abc import Callable, Sequence
from typing import Any

from tvm import ir, tirx

Index = Any  # an int or a TIR expression


class Pointer:
    """A parameter of a layer's function: a pointer to elements of one type.

    Args:
        name: In C.
        dtype: Of the elements.
    """

    def __init__(self, name: str, dtype: str) -> None:
        self.var = tirx.Var(name, ir.PointerType(ir.PrimType(dtype)))
        # the extent only has to be there: addresses are not checked
        self._buffer = tirx.decl_buffer((1 << 20,), dtype, name, data=self.var, layout=None)

    def at(self, offset: Index = 0) -> Any:
        """The address of element `offset`."""
        return tirx.address_of(tirx.BufferLoad(self._buffer, [offset]))

    def load(self, offset: Index = 0) -> Any:
        """Element `offset`."""
        return tirx.BufferLoad(self._buffer, [offset])

    def declaration(self) -> Any:
        """The statement that lets others use the pointer."""
        return tirx.DeclBuffer(self._buffer, data=self.var)


def call(name: str, *arguments: Any) -> Any:
    """The statement that calls a micro-kernel, which returns nothing."""
    return tirx.Evaluate(tirx.call_extern("void", name, *arguments))


def block(statements: Sequence[Any]) -> Any:
    """Statements in order, as one."""
    return statements[0] if len(statements) == 1 else tirx.SeqStmt(list(statements))


def loop(name: str, count: int, body: Callable[[Index], Any]) -> Any:
    """`body(i)` for i in [0, count); a single iteration needs no loop.

    Args:
        name: Of the variable in C.
        count: Iterations, at least one.
        body: The statement for a value of the variable.
    """
    if count == 1:
        return body(0)
    var = tirx.Var(name, "int32")
    return tirx.For(var, 0, count, tirx.ForKind.SERIAL, body(var))


def function(parameters: Sequence[Pointer], statements: Sequence[Any]) -> Any:
    """The function of a layer, parameters in the order of `Layer.func`."""
    declarations = [pointer.declaration() for pointer in parameters]
    body = block([*declarations, *statements])
    return tirx.PrimFunc([pointer.var for pointer in parameters], body, None)
