"""What the operators of quantized programs give, without values: shapes and dtypes alone."""

from collections.abc import Sequence

import torch
from torch import Tensor


def elements(x: Tensor, *_: object) -> Tensor:
    """int8 of the shape of the first operand."""
    return x.new_empty(x.shape, dtype=torch.int8)


def reals(x: Tensor, *_: object) -> Tensor:
    """float32 of the shape of the first operand."""
    return x.new_empty(x.shape, dtype=torch.float32)


def unsigned_elements(x: Tensor) -> Tensor:
    """uint8 of the shape of the operand."""
    return x.new_empty(x.shape, dtype=torch.uint8)


def pairs(x: Tensor, y: Tensor, *_: object) -> Tensor:
    """int8 of the shape that both operands broadcast to."""
    return x.new_empty(torch.broadcast_shapes(x.shape, y.shape))


def triples(x: Tensor, y: Tensor, z: Tensor, *_: object) -> Tensor:
    """int8 of the shape that three operands broadcast to."""
    return x.new_empty(torch.broadcast_shapes(x.shape, y.shape, z.shape))


def convolved(
    x: Tensor,
    weight: Tensor,
    bias: Tensor,
    constants: Tensor,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    *_: object,
) -> Tensor:
    """Images of a convolution, int8, or float32 if its constants are."""
    reach = [d * (size - 1) + 1 for d, size in zip(dilation, weight.shape[2:], strict=True)]
    dtype = torch.float32 if constants.is_floating_point() else torch.int8
    shape = (len(x), len(weight), *_windows(x, reach, stride, padding))
    return x.new_empty(shape, dtype=dtype)


def rows(x: Tensor, weight: Tensor, bias: Tensor, constants: Tensor, *_: object) -> Tensor:
    """Rows of a linear layer, int8, or float32 if its constants are."""
    dtype = torch.float32 if constants.is_floating_point() else torch.int8
    return x.new_empty((*x.shape[:-1], len(weight)), dtype=dtype)


def products(x: Tensor, y: Tensor, *_: object) -> Tensor:
    """int8 matrices, batch axes broadcast."""
    batches = torch.broadcast_shapes(x.shape[:-2], y.shape[:-2])
    return x.new_empty((*batches, x.shape[-2], y.shape[-1]))


def attended(query: Tensor, key: Tensor, value: Tensor, *_: object) -> Tensor:
    """int8 rows of values for each query."""
    return query.new_empty((*query.shape[:-1], value.shape[-1]))


def pooled(
    x: Tensor, kernel_size: Sequence[int], stride: Sequence[int], padding: Sequence[int], *_: object
) -> Tensor:
    """int8 images of a pool."""
    return x.new_empty((*x.shape[:2], *_windows(x, kernel_size, stride, padding)))


def reduced(x: Tensor, dim: Sequence[int], keepdim: bool, *_: object) -> Tensor:
    """int8 without some axes, or with size 1 for them."""
    gone = {axis % x.dim() for axis in dim}
    sizes = [1 if axis in gone else size for axis, size in enumerate(x.shape)]
    kept = [size for axis, size in enumerate(sizes) if keepdim or axis not in gone]
    return x.new_empty(kept)


def _windows(
    x: Tensor, reach: Sequence[int], stride: Sequence[int], padding: Sequence[int]
) -> list[int]:
    """How many windows fit each axis."""
    options = zip(x.shape[2:], reach, stride, padding, strict=True)
    return [(size + 2 * p - r) // s + 1 for size, r, s, p in options]
