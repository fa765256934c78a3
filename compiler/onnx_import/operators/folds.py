"""Blocks of columns put back into an image, and grids of places in images."""

from math import prod

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..arrays import as_tensor
from ..call import Call
from ..registry import onnx_op
from .axes import given_ints


@onnx_op("Col2Im")
def columns_to_image(call: Call) -> Tensor:
    """Blocks [N, C block, L] summed where they overlap: images [N, C, ...]."""
    x = call.tensor(0)
    image, block = call.known_ints(1, "the shape"), call.known_ints(2, "the shape of blocks")
    rank = len(image)
    strides = given_ints(call, "strides") or [1] * rank
    dilations = given_ints(call, "dilations") or [1] * rank
    pads = given_ints(call, "pads") or [0] * (2 * rank)
    if not len(block) == len(strides) == len(dilations) == rank == len(pads) // 2 or x.dim() != 3:
        raise call.refused(f"blocks {block} of an image of shape {image}")
    if rank == 2 and pads[:2] == pads[2:]:
        return torch.ops.aten.col2im(x, image, block, dilations, pads[:2], strides)  # type: ignore[no-any-return]
    padded = [size + pads[at] + pads[at + rank] for at, size in enumerate(image)]
    places = _block_places(padded, block, strides, dilations)
    if x.shape[1] % prod(block) or x.shape[2] != places.size // prod(block):
        raise call.refused(f"columns of shape {tuple(x.shape)} for {places.shape} places")
    rows = x.reshape(x.shape[0], x.shape[1] // prod(block), places.size)
    summed = rows.new_zeros(*rows.shape[:2], prod(padded))
    summed = summed.index_add(2, as_tensor(places.reshape(-1)), rows)
    summed = summed.reshape(*rows.shape[:2], *padded)
    for at, size in enumerate(image):
        summed = summed.narrow(2 + at, pads[at], size)
    return summed


@onnx_op("AffineGrid")
def affine_grid(call: Call) -> Tensor:
    size = call.known_ints(1, "the size")
    return functional.affine_grid(call.tensor(0), size, bool(call.attribute("align_corners", 0)))


def _block_places(
    image: list[int], block: list[int], strides: list[int], dilations: list[int]
) -> np.ndarray:
    """The flat place in the image of each element of each block: [elements, blocks]."""
    places = np.zeros((1, 1), np.int64)
    for at, size in enumerate(image):
        firsts = np.arange(0, size - dilations[at] * (block[at] - 1), strides[at])
        along = np.arange(block[at])[:, None] * dilations[at] + firsts[None]
        grid = places[:, None, :, None] * size + along[None, :, None, :]
        places = grid.reshape(len(places) * block[at], -1)
    return places
