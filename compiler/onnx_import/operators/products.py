"""Products of matrices, sums over indices, determinants."""

import torch
from torch import Tensor
from torch.nn import functional

from ..call import Call
from ..registry import onnx_op

_MOST_ROWS = 4  # n! products


@onnx_op("MatMul")
def matmul(call: Call) -> Tensor:
    return torch.matmul(call.tensor(0), call.tensor(1))


@onnx_op("Gemm")
def gemm(call: Call) -> Tensor:
    x, weight = call.tensor(0), call.tensor(1)
    if x.dim() != 2 or weight.dim() != 2:
        raise call.refused(f"operands of {x.dim()} and {weight.dim()} axes, not 2")
    x = x.t() if call.attribute("transA", 0) else x
    return affine(call, x, weight, bool(call.attribute("transB", 0)))


def affine(call: Call, x: Tensor, weight: Tensor, is_transposed: bool) -> Tensor:
    """alpha x weight + beta input 2, `weight` [I, O], or [O, I] if `is_transposed`."""
    alpha, beta = call.attribute("alpha", 1.0), call.attribute("beta", 1.0)
    added = call.optional(2) if beta else None
    outputs = weight.shape[0 if is_transposed else 1]
    if alpha == beta == 1 and (bias := _vector(added, outputs)) is not None:
        return functional.linear(x, weight if is_transposed else weight.t(), bias)
    result = functional.linear(x, weight) if is_transposed else torch.matmul(x, weight)
    result = result if alpha == 1 else result * _number(alpha, result)
    if added is None:
        return result
    return result + (added if beta == 1 else added * _number(beta, added))


def _vector(added: Tensor | None, outputs: int) -> Tensor | None:
    """What is added, if it is the same for all rows."""
    if added is None or not added.is_floating_point() or added.numel() != outputs:
        return None
    return added.reshape(-1) if added.shape[-1:] == (outputs,) else None


def _number(value: float, like: Tensor) -> float | int:
    return value if like.is_floating_point() else int(value)


@onnx_op("Einsum")
def einsum(call: Call) -> Tensor:
    return torch.einsum(call.needed("equation"), *call.tensors())


@onnx_op("Det")
def determinant(call: Call) -> Tensor:
    x = call.tensor(0)
    if x.dim() < 2 or x.shape[-1] != x.shape[-2] or not 1 <= x.shape[-1] <= _MOST_ROWS:
        raise call.refused(f"matrices of {list(x.shape[-2:])}, not 1 x 1 to 4 x 4")
    return _determinant(x)


def _determinant(x: Tensor) -> Tensor:
    """By its first row."""
    size = x.shape[-1]
    if size == 1:
        return x[..., 0, 0]
    total = None
    for column in range(size):
        left, right = x[..., 1:, :column], x[..., 1:, column + 1 :]
        term = x[..., 0, column] * _determinant(torch.cat([left, right], -1))
        total = term if total is None else total + term if column % 2 == 0 else total - term
    assert total is not None
    return total
