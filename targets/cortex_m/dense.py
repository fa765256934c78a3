"""Convolutions and linear layers whose results sum all channels, or groups of many."""

from collections.abc import Iterable
from dataclasses import replace

from ..microcontrollers import Microcontroller
from .dense_image import DenseImage
from .dense_layer import dense_layer
from .dense_packing import pack
from .dense_strips import Strips
from .dense_vector import vector_layer
from .layer import Layer, NodeArguments, lowers_layer
from .winograd_layer import winograd_layers

# Instructions of the portable versions over those with the DSP extension: Armv7-M has long
# products and loads with an offset from a register, Armv6-M neither.
_ARMV7M, _ARMV6M = 3.0, 5.0
_WIDEST = 48  # results of a strip where wider ones share nothing
_PARTS = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16)


@lowers_layer("penjing.conv_int8")
def convolution(node: NodeArguments, core: Microcontroller) -> list[Layer]:
    """Any kernel, stride, padding and dilation; groups of a multiple of four channels."""
    if "weight" not in node.constants:
        return []
    image = DenseImage.of_convolution(node)
    if image is None or (image.groups > 1 and image.channels // image.groups % 4):
        return []
    tiled = winograd_layers(node, image) if core.spends_flash and core.has_dsp else []
    return [*tiled, *_ways(node, image, core)]


@lowers_layer("penjing.linear_int8")
def linear(node: NodeArguments, core: Microcontroller) -> list[Layer]:
    """Rows of a matrix are pixels of a convolution of 1x1."""
    if "weight" not in node.constants:
        return []
    return _ways(node, DenseImage.of_rows(node), core)


def _ways(node: NodeArguments, image: DenseImage, core: Microcontroller) -> list[Layer]:
    """Strips of several widths, in both orders, without those that others beat in every respect."""
    constants = node.constants
    weight = constants["weight"].reshape(image.results, -1, *image.kernel)
    if image.size == image.result_size == (1, 1) and image.kernel == (1, 1) and image.groups == 1:
        vector = vector_layer(
            weight.reshape(image.results, -1),
            constants["bias"],
            constants["multiplier"],
            node.values["shift"],
            image.zero_point,
            (image.low, image.high),
        )
        if vector is not None:
            return [_on(core, vector)]
    packed = pack(
        image.arranged(weight),
        constants["bias"],
        constants["multiplier"],
        node.values["shift"],
        image.groups,
    )
    if packed is None:
        return []
    shares = image.reach[0] > image.stride[0] and image.result_size[0] > 1
    orders = (True, False) if shares else (False,)
    most = 3 if core.has_saturation else 2  # dense_baseline.py
    ways = [
        Strips(image, packed, width, slides, most) for width in _widths(image) for slides in orders
    ]
    layers = [dense_layer(way) for way in _best(way for way in ways if way.most_pixels)]
    return [_on(core, layer) for layer in layers]


def _on(core: Microcontroller, layer: Layer) -> Layer:
    """The layer with what it costs on a core."""
    if core.has_dsp:
        return layer
    return replace(layer, cost=layer.cost * (_ARMV7M if core.has_saturation else _ARMV6M))


def _widths(image: DenseImage) -> list[int]:
    """Widths of strips that divide a row nearly evenly, or into blocks of three results."""
    columns = image.result_size[1]
    even = {-(-columns // parts) for parts in _PARTS}
    widths = even | {min(-(-width // 3) * 3, columns) for width in even}
    if image.reach[1] <= image.stride[1]:
        widths |= {min(width, columns) for width in (3, 6, 12, 24, _WIDEST)}
        widths = {width for width in widths if width <= _WIDEST}
    return sorted(widths, reverse=True)


def _best(ways: Iterable[Strips]) -> list[Strips]:
    """The ways of which no other is as fast with as little memory of both kinds."""
    best: list[tuple[tuple[float, int, int], Strips]] = []
    for way in ways:
        needs = (way.cost(), way.scratch_bytes, way.lead())
        if any(_is_no_worse(other, needs) for other, _ in best):
            continue
        best = [(other, kept) for other, kept in best if not _is_no_worse(needs, other)]
        best.append((needs, way))
    return [way for _, way in best]


def _is_no_worse(one: tuple[float, int, int], other: tuple[float, int, int]) -> bool:
    return all(a <= b for a, b in zip(one, other, strict=True))
