"""Resized images: one operator of PyTorch where it has the same weights, else axis by axis."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..arrays import as_tensor
from ..call import Call
from ..registry import onnx_op
from . import resize_weights as weights
from .axes import given_ints, wrap_axes
from .resize_weights import Axis

_LINEAR_MODES = {3: "linear", 4: "bilinear", 5: "trilinear"}
_MODES = {"nearest": "nearest", "linear": "linear", "bilinear": "linear", "cubic": "cubic"}
_SAME_WEIGHT = 1e-4  # scales are float32, and multiply places of some thousands
_MOST_TAPS = 4  # which are gathered one by one; more are a product with the matrix
TORCH_CUBIC, TORCH_CUBIC_ANTIALIAS = -0.75, -0.5


@dataclass(frozen=True)
class _Way:
    """The attributes of a node, those that its version does not have included."""

    mode: str
    coordinates: str
    rounding: str
    cubic: float
    exclude: bool
    antialias: bool
    outside: float

    @property
    def kernel(self) -> tuple[Callable[[np.ndarray], np.ndarray], int]:
        """Weights by distance, and the distance at which they end."""
        if self.mode == "linear":
            return weights.linear_filter, 1
        return weights.cubic_filter(self.cubic), 2


@onnx_op("Upsample", "Resize")
def resize(call: Call) -> Tensor:
    x, way = call.tensor(0), _way(call)
    axes = _axes(call, x, way)
    if min((axis.after for axis in axes), default=1) < 1:
        raise call.refused(f"result of shape {[axis.after for axis in axes]}")
    call.bounded(max((axis.after for axis in axes), default=1))
    number = x if x.is_floating_point() or way.mode == "nearest" else x.to(torch.float32)
    interpolate = _nearest if way.mode == "nearest" else _weighted
    y = interpolate(call, number, axes, way)
    if way.coordinates == "tf_crop_and_resize":
        y = _outside(call, y, axes, way)
    return y.to(x.dtype)


def _way(call: Call) -> _Way:
    mode = call.attribute("mode", "nearest")
    if mode not in _MODES:
        raise call.refused(f"mode {mode!r}")
    is_old = call.op_type == "Upsample" or call.opset < 11
    coordinates = "asymmetric" if is_old else "half_pixel"
    return _Way(
        mode=_MODES[mode],
        coordinates=call.attribute("coordinate_transformation_mode", coordinates),
        rounding=call.attribute("nearest_mode", "simple" if is_old else "round_prefer_floor"),
        cubic=call.attribute("cubic_coeff_a", TORCH_CUBIC),
        exclude=bool(call.attribute("exclude_outside", 0)),
        antialias=bool(call.attribute("antialias", 0)),
        outside=call.attribute("extrapolation_value", 0.0),
    )


def _axes(call: Call, x: Tensor, way: _Way) -> list[Axis]:
    """How each axis is resized, from scales or sizes."""
    listed = given_ints(call, "axes")
    places = wrap_axes(call, range(x.dim()) if listed is None else listed, x.dim())
    regions = _regions(call, len(places), way)
    scales = _scales(call)
    found = [Axis(size, size, 1.0) for size in x.shape]
    if scales is not None:
        if len(scales) != len(places) or min(scales, default=1) <= 0:
            raise call.refused(f"scales {scales} for {len(places)} axes")
        for at, scale, (start, end) in zip(places, scales, regions, strict=True):
            after = math.floor(
                np.float32(x.shape[at]) * np.float32(end - start) * np.float32(scale)
            )
            found[at] = Axis(x.shape[at], after, scale, start, end)
        return found
    sizes = call.known_ints(3, "the size")
    if len(sizes) != len(places) or any(not x.shape[at] for at in places):
        raise call.refused(f"sizes {sizes} for {len(places)} axes of {tuple(x.shape)}")
    ratios = [size / x.shape[at] for size, at in zip(sizes, places, strict=True)]
    policy = call.attribute("keep_aspect_ratio_policy", "stretch")
    if policy in {"not_larger", "not_smaller"}:
        ratios = [(min if policy == "not_larger" else max)(ratios)] * len(ratios)
        sizes = [math.floor(x.shape[at] * ratios[0] + 0.5) for at in places]
    elif policy != "stretch":
        raise call.refused(f"keep_aspect_ratio_policy {policy!r}")
    for at, size, ratio, (start, end) in zip(places, sizes, ratios, regions, strict=True):
        found[at] = Axis(x.shape[at], size, ratio, start, end)
    return found


def _scales(call: Call) -> list[float] | None:
    """The scales; None where there are sizes instead."""
    if call.op_type == "Upsample" and call.opset < 9:
        return [float(scale) for scale in call.needed("scales")]
    position = 1 if call.op_type == "Upsample" or call.opset < 11 else 2
    if call.has(position):
        scales = call.known(position, "the scale")
        if scales.size or not call.has(3):
            return [float(scale) for scale in scales]
    return None


def _regions(call: Call, count: int, way: _Way) -> list[tuple[float, float]]:
    if way.coordinates != "tf_crop_and_resize":
        return [(0.0, 1.0)] * count
    region = call.known(1, "the region of interest").astype(float).tolist()
    if len(region) != 2 * count:
        raise call.refused(f"region of interest {region} for {count} axes")
    return list(zip(region[:count], region[count:], strict=True))


def _places(call: Call, axis: Axis, way: _Way, dtype: type[np.floating]) -> np.ndarray:
    found = weights.source_places(axis, way.coordinates, dtype)
    if found is None:
        raise call.refused(f"coordinate_transformation_mode {way.coordinates!r}")
    return found


def _nearest(call: Call, x: Tensor, axes: Sequence[Axis], way: _Way) -> Tensor:
    picked = []
    for axis in axes:
        found = weights.nearest_places(_places(call, axis, way, np.float32), axis, way.rounding)
        if found is None:
            raise call.refused(f"nearest_mode {way.rounding!r}")
        picked.append(found)
    moved = [at for at, axis in enumerate(axes) if not _is_same(picked[at], axis)]
    for mode, exact in (("nearest", False), ("nearest-exact", True)):
        like = [weights.torch_nearest_places(axis, exact=exact) for axis in axes]
        same = all(map(np.array_equal, like, picked))
        if moved and same and _is_image(x, moved):
            return functional.interpolate(x, size=[axis.after for axis in axes[2:]], mode=mode)
    for at in moved:
        x = torch.index_select(x, at, as_tensor(picked[at]))
    return x


def _weighted(call: Call, x: Tensor, axes: Sequence[Axis], way: _Way) -> Tensor:
    kernel, radius = way.kernel
    matrices = [
        weights.weight_matrix(
            _places(call, axis, way, np.float64),
            axis,
            kernel,
            radius,
            antialias=way.antialias,
            exclude=way.exclude,
        )
        for axis in axes
    ]
    moved = [at for at, matrix in enumerate(matrices) if not _is_identity(matrix)]
    if not moved:
        return x
    if _is_image(x, moved):
        found = _as_interpolate(x, axes, way, matrices)
        if found is not None:
            return found
    for at in moved:
        x = _apply(x, at, matrices[at])
    return x


def _as_interpolate(
    x: Tensor, axes: Sequence[Axis], way: _Way, wanted: Sequence[np.ndarray]
) -> Tensor | None:
    """PyTorch's own operator, where it has the weights that are wanted."""
    size = [axis.after for axis in axes[2:]]
    mode = _LINEAR_MODES[x.dim()] if way.mode == "linear" else "bicubic"
    if way.antialias and x.dim() == 4:
        kernel = (
            way.kernel if way.mode == "linear" else (weights.cubic_filter(TORCH_CUBIC_ANTIALIAS), 2)
        )
        if _are_close(wanted, [weights.torch_antialias_matrix(axis, *kernel) for axis in axes]):
            return functional.interpolate(x, size=size, mode=mode, antialias=True)
    if way.mode == "cubic" and (way.cubic != TORCH_CUBIC or x.dim() != 4):
        return None
    for corners in (False, True):
        coordinates = "align_corners" if corners else "half_pixel"
        ratios = [axis.after / axis.before for axis in axes]
        if _are_close(wanted, _torch_matrices(axes, ratios, coordinates, way)):
            return functional.interpolate(x, size=size, mode=mode, align_corners=corners)
    scales = [axis.scale for axis in axes]
    fits = all(math.floor(axis.before * axis.scale) == axis.after for axis in axes)
    if fits and _are_close(wanted, _torch_matrices(axes, scales, "half_pixel", way)):
        return functional.interpolate(x, scale_factor=scales[2:], mode=mode)
    return None


def _torch_matrices(
    axes: Sequence[Axis], scales: Sequence[float], coordinates: str, way: _Way
) -> list[np.ndarray]:
    """The matrices of `interpolate` without `antialias`."""
    found = []
    for axis, scale in zip(axes, scales, strict=True):
        like = Axis(axis.before, axis.after, scale)
        places = weights.source_places(like, coordinates, np.float64)
        assert places is not None, coordinates
        matrix = weights.weight_matrix(places, like, *way.kernel, antialias=False, exclude=False)
        found.append(matrix)
    return found


def _apply(x: Tensor, at: int, matrix: np.ndarray) -> Tensor:
    """Multiply an axis by a matrix, most of whose elements are usually 0."""
    taps = int((matrix != 0).sum(1).max())
    if taps > _MOST_TAPS:
        product = functional.linear(x.movedim(at, -1), as_tensor(matrix).to(x.dtype))
        return product.movedim(-1, at)
    order = np.argsort(matrix == 0, axis=1, kind="stable")[:, :taps]
    shape = (-1, *(1,) * (x.dim() - 1 - at))
    parts = [
        torch.index_select(x, at, as_tensor(order[:, tap].copy()))
        * as_tensor(matrix[np.arange(len(matrix)), order[:, tap]]).to(x.dtype).reshape(shape)
        for tap in range(taps)
    ]
    return sum(parts[1:], start=parts[0])


def _outside(call: Call, y: Tensor, axes: Sequence[Axis], way: _Way) -> Tensor:
    """The extrapolation value where a place is outside of the input."""
    is_outside = np.zeros((1,) * len(axes), bool)
    for at, axis in enumerate(axes):
        places = _places(call, axis, way, np.float32)
        beyond = (places < 0) | (places > axis.before - 1)
        is_outside = is_outside | beyond.reshape(-1, *(1,) * (len(axes) - 1 - at))
    if not is_outside.any():
        return y
    return torch.where(as_tensor(is_outside), way.outside, y)


def _is_image(x: Tensor, moved: Sequence[int]) -> bool:
    return x.dim() in _LINEAR_MODES and min(moved) >= 2 and x.is_floating_point()


def _is_same(places: np.ndarray, axis: Axis) -> bool:
    return bool(np.array_equal(places, np.arange(axis.before)))


def _is_identity(matrix: np.ndarray) -> bool:
    return matrix.shape[0] == matrix.shape[1] and _are_close([matrix], [np.eye(len(matrix))])


def _are_close(wanted: Sequence[np.ndarray], got: Sequence[np.ndarray]) -> bool:
    return all(
        one.shape == other.shape and bool(np.abs(one - other).max() < _SAME_WEIGHT)
        for one, other in zip(wanted, got, strict=True)
    )
