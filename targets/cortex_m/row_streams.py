"""Several layers of windows as one layer that takes its image row by row: line buffers.

Of every image between the layers only the rows under the next window exist. A stripe of rows comes
in, each layer computes the rows that this makes possible, and moves the rows that it will read
again to the front of its buffer. So the memory of the first, largest images is that of a few rows.
Source: line buffers as in Lin et al. 2021 (MCUNetV2), section 3, but without computing anything
twice.

Of a layer with stride s, windows of k rows and p rows of border, stripe j of n rows starts at row
j n - lag. Its input, in stripes of s n rows, lags too; the window reaches k - s rows back:

    lag = (lag of the input + k - s - p + delay) / s

`delay` keeps rows some stripes longer where s does not divide the sum. Rows outside of an image,
in its border or before its first stripe, are filled with what the next layer's border holds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from ..microcontrollers import Microcontroller
from .layer import Layer, NodeArguments, variants
from .row_stream_text import StagePlace, stream_layer

_ROWS = (1, 2, 4)  # of the result, in a stripe
_ALIGN = 8


@dataclass(frozen=True)
class Window:
    """The windows of a layer, along rows.

    Attributes:
        taps: Rows of a window.
        stride: Rows from one window to the next.
        above: Rows of border.
        border: What they hold.
    """

    taps: int
    stride: int
    above: int
    border: int


@dataclass(frozen=True)
class Stage:
    """One layer of a stream, for one stripe.

    Attributes:
        node: The layer for the rows of one stripe.
        border: What rows outside of its input hold.
        taken: Rows of the input that come in with a stripe.
        kept: Rows of the input that the buffer has before those.
        rows: Rows of the result in a stripe.
        lag: Rows by which results lag behind.
        height: Rows of the whole result.
    """

    node: NodeArguments
    border: int
    taken: int
    kept: int
    rows: int
    lag: int
    height: int

    @property
    def buffer_bytes(self) -> int:
        """Of the rows of the input."""
        return (self.kept + self.taken) * row_bytes(self.node.inputs[0].shape)


def row_bytes(shape: Sequence[int]) -> int:
    """Bytes of a row of an int8 image [N, H, W, C]."""
    return shape[2] * shape[3]


def can_stream(node: NodeArguments) -> bool:
    """Whether a layer may be part of a stream: one int8 image, windows that touch."""
    if len(node.inputs) != 1 or {node.inputs[0].dtype, node.output.dtype} != {"int8"}:
        return False
    shapes = (node.inputs[0].shape, node.output.shape)
    if any(len(shape) != 4 or shape[0] != 1 or row_bytes(shape) % _ALIGN for shape in shapes):
        return False
    window = _window(node)
    return window is not None and window.stride <= window.taps


def _window(node: NodeArguments) -> Window | None:
    """The windows of a layer; None if it has none, or other than streams have."""
    values = node.values
    if node.op == "penjing.table_int8":
        return Window(1, 1, 0, 0)
    if node.op == "penjing.conv_int8" and "weight" in node.constants:
        taps, border = node.constants["weight"].shape[2], values["input_zero_point"]
        stride, dilation = values["stride"], values["dilation"][0]
    elif node.op in ("aten.max_pool2d", "penjing.avg_pool_int8"):
        is_max = node.op == "aten.max_pool2d"
        taps = _first(values["kernel_size"])
        border = -128 if is_max else values["input_zero_point"]
        stride = values["stride"] or values["kernel_size"]
        dilation = _first(values["dilation"]) if is_max else 1
        if values.get("ceil_mode"):
            return None
    else:
        return None
    above = _first(values["padding"])
    return Window(taps, _first(stride), above, border) if dilation == 1 else None


def _first(sizes: Any) -> int:
    """The size along rows, of one number or a list."""
    return int(sizes if isinstance(sizes, int) else sizes[0])


def stream_layers(
    nodes: Sequence[NodeArguments], core: Microcontroller, most_bytes: int
) -> list[Layer]:
    """The ways to compute layers, each of which reads the one before, as one layer.

    None where one of them has none for a few rows.

    Args:
        nodes: The layers.
        core: What they are compiled for.
        most_bytes: Of buffers; with more, stripes have one row.
    """
    height, results = nodes[0].inputs[0].shape[1], nodes[-1].output.shape[1]
    layers: list[Layer] = []
    for rows in _ROWS:
        parts = stages(nodes, rows)
        small = rows == 1 or sum(part.buffer_bytes for part in parts) <= most_bytes
        if results % rows == 0 and (rows < results or rows == 1) and small:
            layers += _ways(parts, core, height)
    return sorted(layers, key=lambda layer: layer.cost)


def least_bytes(nodes: Sequence[NodeArguments]) -> int:
    """What a stream needs at least: buffers for stripes of one row, and its result."""
    buffers = sum(part.buffer_bytes for part in stages(nodes, 1))
    return buffers + nodes[-1].output.shape[1] * row_bytes(nodes[-1].output.shape)


def stages(nodes: Sequence[NodeArguments], rows: int) -> list[Stage]:
    """What each layer does in a stripe of so many rows of the last one's result."""
    windows = [window for window in map(_window, nodes) if window is not None]
    counts = [rows]
    for window in reversed(windows):
        counts.insert(0, counts[0] * window.stride)
    found: list[Stage] = []
    for node, window, (taken, made) in zip(nodes, windows, pairwise(counts), strict=True):
        kept = window.taps - window.stride
        lag = (found[-1].lag if found else 0) + kept - window.above
        is_last = len(found) + 1 == len(nodes)  # whose results start with a stripe
        delay = -lag % (window.stride * (rows if is_last else 1)) if lag > 0 else -lag
        found.append(
            Stage(
                node=_of_rows(node, (made - 1) * window.stride + window.taps, made),
                border=window.border,
                taken=taken,
                kept=kept + delay,
                rows=made,
                lag=(lag + delay) // window.stride,
                height=node.output.shape[1],
            )
        )
    return found


def _of_rows(node: NodeArguments, rows: int, results: int) -> NodeArguments:
    """The layer for so many rows, without border above and below."""
    (x,), y = node.inputs, node.output
    values = dict(node.values)
    if "padding" in values:
        padding = values["padding"]
        values["padding"] = [0, padding if isinstance(padding, int) else padding[-1]]
    return replace(
        node,
        inputs=(replace(x, shape=(1, rows, *x.shape[2:])),),
        output=replace(y, shape=(1, results, *y.shape[2:])),
        values=values,
    )


def _ways(parts: Sequence[Stage], core: Microcontroller, height: int) -> Iterator[Layer]:
    """From all scratch memory that is useful to hardly any; `height` is that of the image."""
    options = [variants(part.node, core) for part in parts]
    if not all(options):
        return
    least = max(min(layer.scratch_bytes for layer in found) for found in options)
    limits = {layer.scratch_bytes for found in options for layer in found}
    before: list[Layer] = []
    for limit in sorted((limit for limit in limits if limit >= least), reverse=True):
        layers = [
            min((each for each in found if each.scratch_bytes <= limit), key=lambda each: each.cost)
            for found in options
        ]
        if not before or any(a is not b for a, b in zip(layers, before, strict=True)):
            yield stream_layer(_places(parts), layers, height)
        before = layers


def _places(parts: Sequence[Stage]) -> list[StagePlace]:
    """The buffers of a stream, one behind the other in scratch memory."""
    offset, places = 0, []
    for part in parts:
        source, result = part.node.inputs[0].shape, part.node.output.shape
        places.append(
            StagePlace(
                module=part.node.module,
                offset=offset,
                taken=part.taken,
                kept=part.kept,
                rows=part.rows,
                lag=part.lag,
                height=part.height,
                row_bytes=row_bytes(source),
                result_row_bytes=row_bytes(result),
                border=part.border,
            )
        )
        offset += part.buffer_bytes
    return places
