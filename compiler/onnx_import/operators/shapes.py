"""The same elements in another shape or order of axes."""

from math import prod

import torch
from torch import Tensor

from ..call import Call
from ..registry import onnx_op
from .axes import given_axes, wrap_axes


@onnx_op("Reshape")
def reshape(call: Call) -> Tensor:
    """-1 is what is left over; 0 the size of that axis of the input, unless `allowzero`."""
    x, wanted = call.tensor(0), call.known_ints(1, "the shape")
    if not call.attribute("allowzero", 0):
        if any(size == 0 for size in wanted[x.dim() :]):
            raise call.refused(f"shape {wanted} of a tensor of {x.dim()} axes")
        wanted = [x.shape[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    known = prod(size for size in wanted if size != -1)
    if wanted.count(-1) == 1 and known:
        wanted = [x.numel() // known if size == -1 else size for size in wanted]
    if min(wanted, default=0) < 0 or prod(wanted) != x.numel():
        raise call.refused(f"shape {wanted} for {tuple(x.shape)}")
    return x.reshape(wanted)


@onnx_op("Flatten")
def flatten(call: Call) -> Tensor:
    """A matrix: the axes before `axis`, and the others."""
    x, axis = call.tensor(0), call.attribute("axis", 1)
    if not -x.dim() <= axis <= x.dim():
        raise call.refused(f"axis {axis} of a tensor with {x.dim()} axes")
    if axis == 1 and x.dim() >= 2:
        return torch.flatten(x, 1)
    axis += x.dim() if axis < 0 else 0
    return x.reshape(prod(x.shape[:axis]), prod(x.shape[axis:]))


@onnx_op("Squeeze")
def squeeze(call: Call) -> Tensor:
    """Without axes, all axes of size 1."""
    x, axes = call.tensor(0), given_axes(call, 1, 13)
    if not axes:
        return torch.squeeze(x)
    axes = wrap_axes(call, axes, x.dim())
    if any(x.shape[axis] != 1 for axis in axes):
        raise call.refused(f"axes {axes} of {tuple(x.shape)} are not of size 1")
    return torch.squeeze(x, axes)


@onnx_op("Unsqueeze")
def unsqueeze(call: Call) -> Tensor:
    """`axes` are those of the result."""
    x, axes = call.tensor(0), given_axes(call, 1, 13)
    if axes is None:
        raise call.refused("the list of axes is missing")
    for axis in sorted(wrap_axes(call, axes, x.dim() + len(axes))):
        x = torch.unsqueeze(x, axis)
    return x


@onnx_op("Transpose")
def transpose(call: Call) -> Tensor:
    x = call.tensor(0)
    order = call.attribute("perm", list(range(x.dim()))[::-1])
    if sorted(wrap_axes(call, order, x.dim())) != list(range(x.dim())):
        raise call.refused(f"order {order} of {x.dim()} axes")
    return x.permute(order)


@onnx_op("Expand")
def expand(call: Call) -> Tensor:
    """Both shapes are broadcast to each other."""
    x, wanted = call.tensor(0), call.known_ints(1, "the shape")
    return x.expand(torch.broadcast_shapes(x.shape, wanted))


@onnx_op("Tile")
def tile(call: Call) -> Tensor:
    x, times = call.tensor(0), call.known_ints(1, "the repetitions")
    if len(times) != x.dim() or min(times, default=0) < 0:
        raise call.refused(f"{times} repetitions of a tensor with {x.dim()} axes")
    return x.repeat(times)


@onnx_op("DepthToSpace")
def depth_to_space(call: Call) -> Tensor:
    """Channels of [N, C b b, H, W] become blocks of b x b; PyTorch has the order CRD."""
    x, block = call.tensor(0), _block(call)
    if call.attribute("mode", "DCR") == "CRD":
        return torch.pixel_shuffle(x, block)
    n, c, h, w = x.shape
    blocks = x.reshape(n, block, block, c // block**2, h, w)
    return blocks.permute(0, 3, 4, 1, 5, 2).reshape(n, c // block**2, h * block, w * block)


@onnx_op("SpaceToDepth")
def space_to_depth(call: Call) -> Tensor:
    """Blocks of b x b of [N, C, H b, W b] become channels; PyTorch has the order CRD."""
    x, block = call.tensor(0), _block(call)
    if call.attribute("mode", "DCR") == "CRD":
        return torch.pixel_unshuffle(x, block)
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // block, block, w // block, block)
    return blocks.permute(0, 3, 5, 1, 2, 4).reshape(n, c * block**2, h // block, w // block)


def _block(call: Call) -> int:
    x, block, mode = call.tensor(0), int(call.needed("blocksize")), call.attribute("mode", "DCR")
    if x.dim() != 4 or block < 1 or mode not in {"DCR", "CRD"}:
        raise call.refused(f"blocks of {block} in {tuple(x.shape)}, mode {mode!r}")
    divides = (x.shape[1],) if call.op_type == "DepthToSpace" else x.shape[2:]
    divisor = block**2 if call.op_type == "DepthToSpace" else block
    if any(size % divisor for size in divides):
        raise call.refused(f"blocks of {block} in {tuple(x.shape)}")
    return block


@onnx_op("Trilu")
def triangle(call: Call) -> Tensor:
    """The upper or lower triangle of the last two axes, moved by k diagonals; the rest is zero."""
    x = call.tensor(0)
    offset = call.known_ints(1, "the diagonal")[0] if call.has(1) else 0
    return torch.triu(x, offset) if call.attribute("upper", 1) else torch.tril(x, offset)
