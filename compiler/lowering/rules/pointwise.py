"""What all elementwise rules share: operands, broadcasting, dtypes."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..registry import Rule
from .gemm import accumulator, broadcast_read
from .indices import Index

Operand = Any  # te.Tensor or a Python number
Value = Any  # a TIR expression

_DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (
        torch.float64,
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.int32,
        torch.int16,
        torch.int8,
        torch.uint8,
        torch.bool,
    )
}


def pointwise(
    out: TensorSpec,
    operands: Sequence[Operand],
    function: Callable[..., Value],
    dtype: str = "",
) -> te.Tensor:
    """The tensor of function(elements of the operands), broadcast to `out`.

    Args:
        out: Shape and dtype of the result.
        operands: Tensors and numbers.
        function: Of expressions in the dtype it is computed in; its value is cast to `out`'s.
        dtype: The dtype to compute in, by default that of `out`; float16 and bfloat16 are
            computed in float32.
    """
    inside = accumulator(dtype or out.dtype)

    def element(*at: Index) -> Value:
        values = [operand_at(operand, at, inside) for operand in operands]
        return cast(function(*values), out.dtype)

    return te.compute(out.shape, element, name="pointwise")


def elementwise(formula: Callable[..., Value], summary: str = "") -> Rule:
    """A rule that applies one formula to elements; its docstring is `summary`, or the formula's."""

    def rule(*operands: Operand, out: TensorSpec) -> te.Tensor:
        return pointwise(out, operands, formula)

    rule.__doc__ = summary or formula.__doc__
    return rule


def operand_at(operand: Operand, at: Sequence[Index], dtype: str) -> Value:
    """The element of an operand that takes part in the result at an index."""
    if not isinstance(operand, te.Tensor):
        return constant(operand, dtype)
    return cast(broadcast_read(operand, at), dtype)


def constant(number: float, dtype: str) -> Value:
    """A Python number in a dtype, converted as torch does."""
    if dtype == "bool":
        return tirx.const(bool(number), "bool")
    if dtype.startswith(("int", "uint")):
        return tirx.const(int(number), dtype)
    return tirx.const(float(number), dtype)


def cast(value: Value, dtype: str) -> Value:
    """The value in another dtype; whatever is not 0 is true."""
    own = str(value.ty.dtype)
    if own == dtype:
        return value
    if dtype == "bool":
        return tirx.NE(value, tirx.const(0, own))
    if own == "bool":
        return tirx.Select(value, tirx.const(1, dtype), tirx.const(0, dtype))
    return value.astype(dtype)


def promoted(*operands: Operand) -> str:
    """The dtype in which torch brings the operands together."""
    examples = [_example(operand) for operand in operands]
    together = reduce(
        lambda a, b: torch.empty(1, dtype=torch.result_type(a, b)), examples[1:], examples[0]
    )
    if len(examples) == 2:
        together = torch.empty(1, dtype=torch.result_type(*examples))
    dtype = together.dtype if isinstance(together, torch.Tensor) else torch.tensor(together).dtype
    return str(dtype).removeprefix("torch.")


def is_float(dtype: str) -> bool:
    """Whether it is a floating-point dtype."""
    return "float" in dtype


def _example(operand: Operand) -> Any:
    if not isinstance(operand, te.Tensor):
        return operand
    return torch.empty([1] * len(operand.shape), dtype=_DTYPES[str(operand.dtype)])
