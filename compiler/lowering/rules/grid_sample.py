"""Images and volumes read at the points of a grid, as by `torch.nn.functional.grid_sample`."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..math.floats import Expr, Lets, clamp, floor, like, opaque, round_even
from ..registry import lowers
from .indices import Index, shape_of

aten = torch.ops.aten

_BILINEAR, _NEAREST, _BICUBIC = range(3)  # interpolation_mode
_ZEROS, _BORDER, _REFLECTION = range(3)  # padding_mode
_FAR = 2.0**24  # beyond every image; keeps the conversion to integers defined
_STORED = {"schedule": "stored"}  # not inlined: it is read for every channel and tap


@lowers(aten.grid_sampler_2d.default, aten.grid_sampler_3d.default, aten.grid_sampler.default)
def grid_sample(
    x: te.Tensor,
    grid: te.Tensor,
    interpolation_mode: int,
    padding_mode: int,
    align_corners: bool,
    *,
    out: TensorSpec,
) -> te.Tensor:
    """y[n, c, p] = x[n, c] interpolated at grid[n, p]; -1 and 1 are the edges of the image."""
    dtype = "float64" if out.dtype == "float64" else "float32"
    axes = [
        _axis(grid, number, size, interpolation_mode, padding_mode, align_corners, dtype)
        for number, size in enumerate(reversed(shape_of(x)[2:]))
    ]

    def element(*at: Index) -> Any:
        point = (at[0], *at[2:])
        taps = [axis.taps(point, interpolation_mode, padding_mode) for axis in reversed(axes)]
        lets = Lets()
        total: Any = tirx.const(0, dtype)
        for chosen in product(*taps):
            # Read before the choice: within it tvm takes `inside` for granted and does not clamp.
            value = lets(x(*at[:2], *(tap.place for tap in chosen)).astype(dtype))
            inside = tirx.all(*(tap.inside for tap in chosen))
            weight = prod([tap.weight for tap in chosen], start=tirx.const(1, dtype))
            total = total + tirx.Select(inside, value * weight, tirx.const(0, dtype))
        return lets.close(total.astype(out.dtype))

    return te.compute(out.shape, element, name="grid_sample")


@dataclass(frozen=True)
class _Tap:
    """One place along an axis: always inside the image, but `inside` may say not to count it."""

    place: Index
    inside: Any
    weight: Expr


@dataclass(frozen=True)
class _Axis:
    """The coordinates of all points along one axis of the image, and the places below them."""

    size: int
    position: te.Tensor  # [n, point], in elements
    low: te.Tensor  # int32
    align_corners: bool

    def taps(self, point: tuple[Index, ...], interpolation: int, padding: int) -> list[_Tap]:
        """What is read along the axis for one point."""
        low = self.low(*point)
        if interpolation == _NEAREST:
            weights = [tirx.const(1, str(self.position.dtype))]
        else:
            position = self.position(*point)
            fraction = position - low.astype(str(self.position.dtype))
            weights = (_cubic if interpolation == _BICUBIC else _linear)(fraction)
        first = -1 if interpolation == _BICUBIC else 0
        return [self._tap(low + first + k, w, padding) for k, w in enumerate(weights)]

    def _tap(self, place: Index, weight: Expr, padding: int) -> _Tap:
        inside = tirx.const(True, "bool")
        if padding == _ZEROS:
            inside = tirx.all(place >= 0, place < self.size)
        elif padding == _REFLECTION:
            place = self._reflected(place)
        return _Tap(tirx.max(tirx.min(place, self.size - 1), 0), inside, weight)

    def _reflected(self, place: Index) -> Index:
        """A place mirrored at the edges: at the outer elements, or between them and the next."""
        edge = 0 if self.align_corners else 1
        period = max(2 * (self.size - 1 + edge), 1)
        folded = tirx.floormod(place, period)
        return tirx.Select(folded < self.size, folded, period - edge - folded)


def _axis(
    grid: te.Tensor,
    number: int,
    size: int,
    interpolation: int,
    padding: int,
    align_corners: bool,
    dtype: str,
) -> _Axis:
    """Coordinate `number` of the points; the grid counts axes from the last."""
    folded = padding if interpolation != _BICUBIC else _ZEROS  # bicubic folds places instead

    def position(*point: Index) -> Expr:
        unit = grid(*point, number).astype(dtype)
        elements = _elements(unit, size, align_corners)
        return _folded(elements, size, folded, align_corners)

    def low(*point: Index) -> Expr:
        rounding: Callable[[Expr], Expr] = round_even if interpolation == _NEAREST else floor
        return rounding(_near(positions(*point))).astype("int32")

    shape = shape_of(grid)[:-1]
    positions = te.compute(shape, position, name=f"position{number}", attrs=_STORED)
    lows = te.compute(shape, low, name=f"low{number}", attrs=_STORED)
    return _Axis(size, positions, lows, align_corners)


def _elements(unit: Expr, size: int, align_corners: bool) -> Expr:
    """From [-1, 1] to elements; -1 and 1 are the middles of the outer ones, or their far edges."""
    if align_corners:
        return (unit + like(unit, 1)) * like(unit, 0.5 * (size - 1))
    return (opaque((unit + like(unit, 1)) * like(unit, size)) - like(unit, 1)) * like(unit, 0.5)


def _folded(position: Expr, size: int, padding: int, align_corners: bool) -> Expr:
    if padding == _ZEROS:
        return position
    if padding == _REFLECTION:
        position = _mirrored(position, *((0.0, size - 1) if align_corners else (-0.5, size)))
    return clamp(position, 0, size - 1)


def _mirrored(position: Expr, start: float, span: float) -> Expr:
    """A position mirrored into [start, start + span]."""
    if span == 0:
        return like(position, 0)
    lets = Lets()
    distance = lets(tirx.abs(position - like(position, start)))
    flips = lets(floor(distance / like(position, span)))
    extra = lets(distance - flips * like(position, span))
    odd = flips - like(position, 2) * floor(flips * like(position, 0.5)) > like(position, 0.5)
    mirrored = tirx.Select(odd, like(position, span) - extra, extra)
    return lets.close(mirrored + like(position, start))


def _near(position: Expr) -> Expr:
    """The position within what int32 holds; NaN goes far away, too."""
    low, high = like(position, -_FAR), like(position, _FAR)
    return tirx.Select(position > low, tirx.Select(position < high, position, high), low)


def _linear(t: Expr) -> list[Expr]:
    return [like(t, 1) - t, t]


def _cubic(t: Expr) -> list[Expr]:
    """Weights of the four neighbors: cubic convolution with a = -0.75."""

    def beside(s: Expr) -> Expr:  # 0 <= s <= 1
        return (like(t, 1.25) * s - like(t, 2.25)) * s * s + like(t, 1)

    def beyond(s: Expr) -> Expr:  # 1 <= s <= 2
        return ((like(t, -0.75) * s + like(t, 3.75)) * s - like(t, 6)) * s + like(t, 3)

    one = like(t, 1)
    return [beyond(t + one), beside(t), beside(one - t), beyond(like(t, 2) - t)]
