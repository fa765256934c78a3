"""Images at other sizes."""

from collections.abc import Sequence

import torch

from ..emitter import Emitter, Value
from ..registry import emits

_ATEN = torch.ops.aten
Sizes = Sequence[int] | None
Scales = Sequence[float] | None


@emits(_ATEN.upsample_nearest1d.vec, _ATEN.upsample_nearest2d.vec, _ATEN.upsample_nearest3d.vec)
def nearest(emit: Emitter, x: Value, sizes: Sizes, scales: Scales) -> Value:
    options = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return _resized(emit, x, scales, mode="nearest", **options)


@emits(
    _ATEN._upsample_nearest_exact1d.vec,
    _ATEN._upsample_nearest_exact2d.vec,
    _ATEN._upsample_nearest_exact3d.vec,
)
def nearest_exact(emit: Emitter, x: Value, sizes: Sizes, scales: Scales) -> Value:
    options = {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil"}
    return _resized(emit, x, scales, mode="nearest", **options)


@emits(_ATEN.upsample_linear1d.vec, _ATEN.upsample_bilinear2d.vec, _ATEN.upsample_trilinear3d.vec)
def linear(emit: Emitter, x: Value, sizes: Sizes, align_corners: bool, scales: Scales) -> Value:
    corners = "align_corners" if align_corners else "half_pixel"
    return _resized(emit, x, scales, mode="linear", coordinate_transformation_mode=corners)


@emits(_ATEN.upsample_bicubic2d.vec)
def bicubic(emit: Emitter, x: Value, sizes: Sizes, align_corners: bool, scales: Scales) -> Value:
    corners = "align_corners" if align_corners else "half_pixel"
    options = {"coordinate_transformation_mode": corners, "cubic_coeff_a": -0.75}
    return _resized(emit, x, scales, mode="cubic", **options)


@emits(_ATEN._upsample_bilinear2d_aa.vec, _ATEN._upsample_bicubic2d_aa.vec)
def antialiased(
    emit: Emitter, x: Value, sizes: Sizes, align_corners: bool, scales: Scales
) -> Value:
    emit.needs(18)
    corners = "align_corners" if align_corners else "half_pixel"
    options = {"coordinate_transformation_mode": corners, "antialias": 1}
    if "bicubic" in emit.operator:
        options |= {"mode": "cubic", "cubic_coeff_a": -0.5}
    else:
        options["mode"] = "linear"
    return _resized(emit, x, scales, **options)


def _resized(emit: Emitter, x: Value, scales: Scales, **options: object) -> Value:
    """To the size of the result, or by the scales that PyTorch was given, which then count."""
    if scales is None:
        return emit("Resize", x, None, None, emit.ints(emit.shape), **options)
    factors = torch.tensor([1.0, 1.0, *scales])
    return emit("Resize", x, None, emit.constant(factors), **options)


@emits(_ATEN.grid_sampler_2d, _ATEN.grid_sampler_3d)
def grid_sample(
    emit: Emitter, x: Value, grid: Value, mode: int, padding: int, align_corners: bool
) -> Value:
    emit.needs(20 if len(x.shape) == 5 else 16)
    modes = (
        ("linear", "nearest", "cubic") if emit.opset >= 20 else ("bilinear", "nearest", "bicubic")
    )
    borders = ("zeros", "border", "reflection")
    corners = int(align_corners)
    options = {"mode": modes[mode], "padding_mode": borders[padding], "align_corners": corners}
    return emit("GridSample", x, grid, **options)
