"""Kernels written as statements that run in order, for updates that may hit one place twice."""

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

from tvm import te, tirx

from .creation import constant
from .indices import Index, Shape, unflatten_index

Body = Callable[[list[Index]], Any]  # index -> statement
Element = Callable[[list[Index]], Any]  # index -> element


class Statements:
    """Collects the buffers and statements of one kernel.

    The kernel is opaque to the scheduler: it runs as written, and nothing is inlined into it.
    """

    def __init__(self) -> None:
        self._inputs: list[te.Tensor] = []
        self._read: list[Any] = []
        self._written: list[Any] = []
        self._body: list[Any] = []

    def input(self, tensor: te.Tensor) -> Any:
        """The buffer through which the statements read a tensor."""
        self._inputs.append(tensor)
        # tensor.shape itself: extern wants the very objects, not equal numbers
        self._read.append(_buffer(tensor.shape, str(tensor.dtype), f"read{len(self._read)}"))
        return self._read[-1]

    def reader(self, source: te.Tensor | float, dtype: str = "") -> Element:
        """How the statements read an operand: a tensor, or one number of a dtype everywhere."""
        if isinstance(source, te.Tensor):
            buffer = self.input(source)
            return lambda at: load(buffer, at)
        number = constant(source, dtype)
        return lambda _: number

    def output(self, shape: Shape, dtype: str) -> Any:
        """A buffer that the statements write, and may read again."""
        self._written.append(_buffer(tuple(shape), dtype, f"written{len(self._written)}"))
        return self._written[-1]

    def add(self, statement: Any) -> None:
        """Run a statement after those before."""
        self._body.append(statement)

    def fill(self, buffer: Any, value: Element) -> None:
        """Set every element of a buffer to `value(index)`."""
        shape = [int(size) for size in buffer.shape]
        flat = tirx.Var("i", "int32")  # one loop, which LLVM makes a memcpy where it can
        index = unflatten_index(flat, shape)
        self.add(loop(flat, 0, prod(shape), store(buffer, value(index), index)))

    def tensors(self, name: str) -> list[te.Tensor]:
        """The written buffers as tensors, in the order they were declared."""
        body = tirx.SeqStmt(self._body) if len(self._body) > 1 else self._body[0]
        result = te.extern(
            [buffer.shape for buffer in self._written],
            self._inputs,
            lambda _read, _written: body,
            name=name,
            in_buffers=self._read,
            out_buffers=self._written,
            dtype=[str(buffer.dtype) for buffer in self._written],
        )
        return list(result) if len(self._written) > 1 else [result]


def for_each(shape: Shape, body: Body) -> Any:
    """`body(index)` for all indices of a shape, in row-major order."""
    index = [tirx.Var(f"i{axis}", "int32") for axis in range(len(shape))]
    statement = body(list(index))
    for var, size in zip(reversed(index), reversed(shape), strict=True):
        statement = loop(var, 0, size, statement)
    return statement


def loop(var: Any, begin: Index, count: Index, statement: Any) -> Any:
    """A statement for each value of var in [begin, begin + count)."""
    return tirx.For(var, begin, count, tirx.ForKind.SERIAL, statement)


def load(buffer: Any, index: Sequence[Index]) -> Any:
    """The element of a buffer at an index."""
    return tirx.BufferLoad(buffer, list(index))


def store(buffer: Any, value: Any, index: Sequence[Index]) -> Any:
    """The statement that writes an element, converted to the type of the buffer."""
    return tirx.BufferStore(buffer, value.astype(str(buffer.dtype)), list(index))


def _buffer(shape: Any, dtype: str, name: str) -> Any:
    return tirx.decl_buffer(shape, dtype, name, layout=None)
