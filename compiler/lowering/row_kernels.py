"""Kernels that belong to no region: they set or move rows of elements."""

from typing import Any

from tvm import te, tirx

from .rules.statements import Statements


def fill(elements: int, dtype: str, value: float) -> Any:
    """A PrimFunc that sets all elements of a buffer."""
    kernel = Statements()
    kernel.fill(kernel.output((elements,), dtype), lambda at: tirx.const(value, dtype))
    return te.create_prim_func(kernel.tensors("fill"))


def copy(elements: int, dtype: str) -> Any:
    """A PrimFunc that copies a buffer to another."""
    kernel, plain = Statements(), te.placeholder((elements,), dtype, name="plain")
    kernel.fill(kernel.output((elements,), dtype), kernel.reader(plain))
    return te.create_prim_func([plain, *kernel.tensors("copy")])
