"""Winograd convolutions: 3 x 3 taps, stride 1, four (or 2.25) times fewer multiplications."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from tvm import te, tirx

from ....targets.cpu.winograd import (
    Buffers,
    Plan,
    direct_cost,
    matrices,
    winograd_plan,
    winograd_statement,
)
from ....targets.target import Target
from ..builder import Array, KernelBuilder
from .indices import Index, shape_of
from .windows import Images, Window

Total = Callable[[Index, Index, Sequence[Index]], Any]  # sums by image, output channel, position
_GAIN = 0.8  # of the direct cost: what larger weights have to bring at least
TILES = (4, 2)  # outputs along the side of a tile


def winograd_tile(
    target: Target,
    window: Window,
    weight_shape: Sequence[int],
    batch: int,
    sizes: Sequence[int],
    tiles: Sequence[int] = TILES,
) -> int:
    """The tile with which Winograd's algorithm beats a direct convolution clearly, 0 if none does.

    Args:
        target: The CPU.
        window: How the taps slide.
        weight_shape: [O, C / groups, taps...]; more than one group shows as C / groups < C and
            has to be excluded by the caller.
        batch: Number of images.
        sizes: Of the output.
        tiles: Which tiles may be used. 4 is less exact than 2 (docs/decisions/010).
    """
    outputs, depth, *taps = weight_shape
    ones = (1, 1)
    if tuple(taps) != (3, 3) or window.stride != ones or window.dilation != ones:
        return 0
    if not all((batch, outputs, depth, *sizes)):
        return 0
    height, width = sizes
    shape = (batch, (height, width), depth, outputs)
    costs = {tile: winograd_plan(target, tile, *shape).cost(target) for tile in tiles}
    best = min(costs, key=costs.__getitem__, default=0)
    return best if best and costs[best] < _GAIN * direct_cost(target, *shape) else 0


def overhang(sizes: Sequence[int], tile: int) -> tuple[int, ...]:
    """Rows and columns that `winograd` reads behind the padded input of a direct convolution."""
    return tuple(-size % tile for size in sizes)


def winograd(
    images: Images,
    w: te.Tensor,
    sizes: Sequence[int],
    tile: int,
    dtype: str,
    kernel: KernelBuilder,
) -> Total:
    """P[n,y,x,o] = sum_cij images[n, y + i, x + j, c] * w[o,c,i,j], tagged "winograd".

    Args:
        images: [N, Hp, Wp, C], channels last, index 0 the first padding; Hp >= OH + 2 + overhang.
        w: Weights [O, C, 3, 3], a constant.
        sizes: OH, OW.
        tile: 2 or 4.
        dtype: In which the sums are made: float32.
        kernel: Where the transformed weights go.
    """
    assert images.channels_last and dtype == "float32", (images, dtype)
    outputs, depth, *_ = shape_of(w)
    height, width = sizes
    plan = winograd_plan(
        kernel.target,
        tile,
        images.batch,
        (height, width),
        depth,
        outputs,
        kernel.options.threads,
    )
    needed = tuple(count * tile + 2 for count in plan.grid)
    assert all(s >= n for s, n in zip(images.space, needed, strict=True)), (images.space, needed)
    name = f"winograd{tile}_{plan.columns}"
    packed = kernel.pack(w, partial(transform_weights, tile=tile, columns=plan.columns), name)
    total = _stage(images, packed, plan)
    return lambda n, o, position: total(n, *position, o)


def transform_weights(weight: Array, *, tile: int, columns: int) -> Array:
    """[O, C, 3, 3] -> G g G^T as [position, O / columns, C, columns], rounded once.

    The last panel of output channels is filled with zeros.
    """
    outputs, depth, *_ = weight.shape
    _, points, _ = matrices(tile)
    at_points = np.einsum("ij,ocjk,lk->iloc", points, weight.astype(np.float64), points)
    padded = np.pad(at_points, [(0, 0), (0, 0), (0, -outputs % columns), (0, 0)])
    panels = padded.reshape(len(points) ** 2, -1, columns, depth).swapaxes(-1, -2)
    return np.ascontiguousarray(panels, dtype=np.float32)


def _stage(images: Images, packed: te.Tensor, plan: Plan) -> te.Tensor:
    """The kernel as one stage; its two scratch buffers are results that nothing reads."""
    image = images.tensor
    inputs = [image, packed]
    read = [_buffer(t.shape, f"read{i}") for i, t in enumerate(inputs)]
    shapes = [
        (plan.batch, *plan.sizes, plan.outputs),
        plan.input_shape,
        plan.product_shape,
    ]
    names = ("sums", "transformed", "products")
    written = [_buffer(shape, name) for shape, name in zip(shapes, names, strict=True)]
    buffers = Buffers(
        image=_reader(images, read[0]),
        weights=read[1],
        outputs=written[0],
        inputs=written[1],
        products=written[2],
    )
    results = te.extern(
        shapes,
        inputs,
        lambda _read, _written: winograd_statement(plan, buffers),
        name="winograd",
        in_buffers=read,
        out_buffers=written,
        dtype=["float32"] * len(shapes),
        attrs={"schedule": "winograd", "multiply_adds": plan.multiply_adds},
    )
    return results[0]


def _reader(images: Images, buffer: Any) -> Callable[..., Any]:
    """How the statements read image n at (y, x), channel c, where `buffer` holds the images."""
    origin = images.origin or (0, 0)

    def element(n: Index, y: Index, x: Index, c: Index) -> Any:
        place = [y + origin[0], x + origin[1], c]
        return tirx.BufferLoad(buffer, [n, *place] if images.batched else place)

    return element


def _buffer(shape: Any, name: str) -> Any:
    return tirx.decl_buffer(shape, "float32", name, layout=None)
