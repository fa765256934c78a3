"""What each element along a resized axis is made of, as the text of ONNX's Resize defines it.

An axis is resized by a matrix [out, in] whose rows are the weights of the input's elements. Places
between elements are float64, or float32 as in onnxruntime where they are rounded to the nearest.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

_Filter = Callable[[np.ndarray], np.ndarray]
Places = np.ndarray


@dataclass(frozen=True)
class Axis:
    """How one axis is resized.

    Args:
        before: Elements of the input.
        after: Elements of the result.
        scale: after / before, but for rounding.
        start: Where the part that is resized begins, 0 to 1; `tf_crop_and_resize` only.
        end: Where it ends.
    """

    before: int
    after: int
    scale: float
    start: float = 0.0
    end: float = 1.0


def source_places(axis: Axis, coordinates: str, dtype: type[np.floating]) -> Places | None:
    """For each element of the result its place in the input; None for unknown `coordinates`."""
    x, scale = np.arange(axis.after).astype(dtype), dtype(axis.scale)
    half = dtype(0.5)
    last_before, last_after = dtype(axis.before - 1), dtype(max(axis.after - 1, 1))
    found: Places | None = None
    if coordinates == "half_pixel" or (coordinates == "pytorch_half_pixel" and axis.after > 1):
        found = (x + half) / scale - half
    elif coordinates == "pytorch_half_pixel":
        found = x
    elif coordinates == "half_pixel_symmetric":
        adjustment = dtype(axis.after) / (scale * dtype(axis.before))
        found = dtype(axis.before) / 2 * (1 - adjustment) + (x + half) / scale - half
    elif coordinates == "asymmetric":
        found = x / scale
    elif coordinates == "align_corners":
        found = x * last_before / last_after
    elif coordinates == "tf_half_pixel_for_nn":
        found = (x + half) / scale
    elif coordinates == "tf_crop_and_resize" and axis.after == 1:
        found = (dtype(axis.start) + dtype(axis.end)) * half * last_before + x
    elif coordinates == "tf_crop_and_resize":
        length = dtype(axis.end) - dtype(axis.start)
        found = dtype(axis.start) * last_before + x * length * last_before / last_after
    return found


def nearest_places(places: Places, axis: Axis, rounding: str) -> Places | None:
    """Indices of the elements that are nearest to places; None for an unknown `rounding`.

    "simple" is that of onnxruntime for operator sets without the attribute.
    """
    if rounding == "simple":
        rounding = "ceil" if axis.scale < 1 else "floor"
    wide = places.astype(np.float64)  # in which adding a half is exact
    rounded = {
        "round_prefer_floor": np.ceil(wide - 0.5),
        "round_prefer_ceil": np.floor(wide + 0.5),
        "floor": np.floor(places),
        "ceil": np.ceil(places),
    }.get(rounding)
    return None if rounded is None else np.clip(rounded, 0, axis.before - 1).astype(np.int64)


def torch_nearest_places(axis: Axis, *, exact: bool) -> Places:
    """The indices that `interpolate` reads with mode "nearest" or "nearest-exact"."""
    step = np.float32(axis.before) / np.float32(axis.after)
    x = np.arange(axis.after).astype(np.float32) + np.float32(0.5 if exact else 0)
    places: Places = np.minimum(np.floor(x * step), axis.before - 1).astype(np.int64)
    return places


def linear_filter(distance: np.ndarray) -> np.ndarray:
    """Weights of two neighbors."""
    found: np.ndarray = np.maximum(1 - np.abs(distance), 0)
    return found


def cubic_filter(a: float) -> _Filter:
    """Weights of four neighbors: Keys, "Cubic convolution interpolation", 1981, equation 4."""

    def weights(distance: np.ndarray) -> np.ndarray:
        d = np.abs(distance)
        near = (a + 2) * d**3 - (a + 3) * d**2 + 1
        far = a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a
        return np.where(d <= 1, near, np.where(d < 2, far, 0))

    return weights


def weight_matrix(
    places: Places, axis: Axis, kernel: _Filter, radius: int, *, antialias: bool, exclude: bool
) -> np.ndarray:
    """The matrix [out, in] of an axis.

    Args:
        places: Of the elements of the result in the input.
        axis: The axis.
        kernel: Weight at a distance.
        radius: Distance from which on weights are 0.
        antialias: Stretch the kernel over all elements that become one when the axis shrinks.
        exclude: Leave out elements outside of the input; else they are those at its edge.
    """
    squeeze = min(axis.scale, 1.0) if antialias else 1.0
    reach = int(np.ceil(radius / squeeze))
    near = np.floor(places).astype(np.int64)[:, None] + np.arange(1 - reach, reach + 1)
    weights = kernel((near - places[:, None]) * squeeze)
    if exclude:
        weights = np.where((near >= 0) & (near < axis.before), weights, 0)
    total = weights.sum(1, keepdims=True)
    weights = weights / np.where(total == 0, 1, total)
    matrix = np.zeros((axis.after, axis.before))
    rows = np.broadcast_to(np.arange(axis.after)[:, None], near.shape)
    np.add.at(matrix, (rows, np.clip(near, 0, axis.before - 1)), weights)
    return matrix


def torch_antialias_matrix(axis: Axis, kernel: _Filter, radius: int) -> np.ndarray:
    """The matrix of `interpolate` with `antialias`, which is that of Pillow."""
    step = axis.before / axis.after
    squeeze = 1 / max(step, 1.0)
    centers = (np.arange(axis.after)[:, None] + 0.5) * step
    reach = radius / squeeze
    elements = np.arange(axis.before)[None]
    first = np.maximum((centers - reach + 0.5).astype(np.int64), 0)
    last = np.minimum((centers + reach + 0.5).astype(np.int64), axis.before)
    inside = (elements >= first) & (elements < last)
    weights = np.where(inside, kernel((elements - centers + 0.5) * squeeze), 0)
    matrix: np.ndarray = weights / weights.sum(1, keepdims=True)
    return matrix
