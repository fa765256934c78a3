"""Resampling of images along their spatial axes, one axis after the other."""

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from tvm import te

from ...errors import CompileError
from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..registry import lowers
from .indices import Index, compute, shape_of, with_axis
from .taps import Resize, Taps, find_taps

aten = torch.ops.aten

_INLINE_TAPS = 16  # elements read for one result before the axes become stages of their own


def _cubic(x: torch.Tensor, size: int, align: bool, scale: float | None) -> Any:
    return aten.upsample_bicubic2d(x[:, :, None], [1, size], align, None, scale)[:, :, 0]


def _linear_smooth(x: torch.Tensor, size: int, align: bool, scale: float | None) -> Any:
    return aten._upsample_bilinear2d_aa(x[:, :, None], [1, size], align, None, scale)[:, :, 0]


def _cubic_smooth(x: torch.Tensor, size: int, align: bool, scale: float | None) -> Any:
    return aten._upsample_bicubic2d_aa(x[:, :, None], [1, size], align, None, scale)[:, :, 0]


def _linear(x: torch.Tensor, size: int, align: bool, scale: float | None) -> Any:
    return aten.upsample_linear1d(x, [size], align, scale)


def _nearest(x: torch.Tensor, size: int, _: bool, scale: float | None) -> Any:
    return aten.upsample_nearest1d(x, [size], scale)


def _nearest_exact(x: torch.Tensor, size: int, _: bool, scale: float | None) -> Any:
    return aten._upsample_nearest_exact1d(x, [size], scale)


def _lowers_nearest(resize: Resize, *packets: Any) -> None:
    """Register rules for the two overloads of ops that pick one element each."""

    @lowers(*(packet.default for packet in packets))
    def by_size(
        x: te.Tensor,
        _size: Sequence[int],
        *scales: float | None,
        out: TensorSpec,
        kernel: KernelBuilder,
        **named: float | None,
    ) -> te.Tensor:
        """Each result is the element of x that lies nearest, by the rule of the op."""
        return _resize(x, resize, False, _all_scales(x, scales, named), out, kernel)

    @lowers(*(packet.vec for packet in packets))
    def by_factor(
        x: te.Tensor,
        output_size: Sequence[int] | None,
        scale_factors: Sequence[float] | None = None,
        *,
        out: TensorSpec,
        kernel: KernelBuilder,
    ) -> te.Tensor:
        """Each result is the element of x that lies nearest, by the rule of the op."""
        return _resize(x, resize, False, _all_scales(x, scale_factors or ()), out, kernel)


def _lowers_filter(resize: Resize, *packets: Any) -> None:
    """Register rules for the two overloads of ops that mix neighbors."""

    @lowers(*(packet.default for packet in packets))
    def by_size(
        x: te.Tensor,
        _size: Sequence[int],
        align_corners: bool,
        *scales: float | None,
        out: TensorSpec,
        kernel: KernelBuilder,
        **named: float | None,
    ) -> te.Tensor:
        """Each result is a weighted sum of its neighbors along every spatial axis."""
        return _resize(x, resize, align_corners, _all_scales(x, scales, named), out, kernel)

    @lowers(*(packet.vec for packet in packets))
    def by_factor(
        x: te.Tensor,
        output_size: Sequence[int] | None,
        align_corners: bool,
        scale_factors: Sequence[float] | None = None,
        *,
        out: TensorSpec,
        kernel: KernelBuilder,
    ) -> te.Tensor:
        """Each result is a weighted sum of its neighbors along every spatial axis."""
        scales = _all_scales(x, scale_factors or ())
        return _resize(x, resize, align_corners, scales, out, kernel)


_lowers_nearest(_nearest, aten.upsample_nearest1d, aten.upsample_nearest2d, aten.upsample_nearest3d)
_lowers_nearest(
    _nearest_exact,
    aten._upsample_nearest_exact1d,
    aten._upsample_nearest_exact2d,
    aten._upsample_nearest_exact3d,
)
_lowers_filter(_linear, aten.upsample_linear1d, aten.upsample_bilinear2d, aten.upsample_trilinear3d)
_lowers_filter(_cubic, aten.upsample_bicubic2d)
_lowers_filter(_linear_smooth, aten._upsample_bilinear2d_aa)
_lowers_filter(_cubic_smooth, aten._upsample_bicubic2d_aa)


def _all_scales(
    x: te.Tensor, given: Sequence[float | None], named: Mapping[str, float | None] | None = None
) -> list[float | None]:
    """The scale of each spatial axis; None follows from the sizes."""
    rank = len(x.shape) - 2
    names = ("scales_d", "scales_h", "scales_w")[3 - rank :] if rank > 1 else ("scales",)
    scales = {**dict(zip(names, given, strict=False)), **(named or {})}
    return [scales.get(name) for name in names]


def _resize(
    x: te.Tensor,
    resize: Resize,
    align_corners: bool,
    scales: Sequence[float | None],
    out: TensorSpec,
    kernel: KernelBuilder,
) -> te.Tensor:
    """The elements of x with each spatial axis replaced by weighted sums along it."""
    exact = torch.float64 if out.dtype == "float64" else torch.float32
    taps = [
        find_taps(resize, size, result, align_corners, scale, exact)
        for size, result, scale in zip(shape_of(x)[2:], out.shape[2:], scales, strict=True)
    ]
    if all(axis.copies for axis in taps):
        places = [axis.place(kernel, number) for number, axis in enumerate(taps, 2)]
        return compute(
            out.shape,
            lambda at: x(*at[:2], *(p(i) for p, i in zip(places, at[2:], strict=True))),
            "resize",
        )
    if "float" not in out.dtype:
        raise CompileError(
            f"interpolation of {out.dtype} is not supported", fix="cast to float32 before it"
        )
    dtype = str(exact).removeprefix("torch.")
    if prod(axis.count for axis in taps) <= _INLINE_TAPS:
        return _all_axes(x, taps, out, dtype, kernel)
    return _axis_by_axis(x, taps, out, dtype, kernel)


def _all_axes(
    x: te.Tensor, taps: Sequence[Taps], out: TensorSpec, dtype: str, kernel: KernelBuilder
) -> te.Tensor:
    places = [axis.place(kernel, number) for number, axis in enumerate(taps, 2)]
    weights = [kernel.table(axis.weights.T, "weights") for axis in taps]

    def total(at: list[Index], found: list[Index]) -> Any:
        """The weighted sum over the axes from the first that has no place yet."""
        number = len(found)
        if number == len(at):
            return x(*found).astype(dtype)
        i, axis = at[number], number - 2
        first = places[axis](i)
        terms = [(k, total(at, [*found, first + k])) for k in range(taps[axis].count)]
        if taps[axis].copies:
            return terms[0][1]
        return sum(weights[axis](k, i) * term for k, term in terms)

    return compute(out.shape, lambda at: total(at, at[:2]).astype(out.dtype), "resize")


def _axis_by_axis(
    x: te.Tensor, taps: Sequence[Taps], out: TensorSpec, dtype: str, kernel: KernelBuilder
) -> te.Tensor:
    for number in reversed(range(2, len(out.shape))):
        x = _one_axis(x, number, taps[number - 2], dtype, kernel)
    return compute(out.shape, lambda at: x(*at).astype(out.dtype), "resize")


def _one_axis(
    x: te.Tensor, number: int, taps: Taps, dtype: str, kernel: KernelBuilder
) -> te.Tensor:
    place = taps.place(kernel, number)
    shape = with_axis(shape_of(x), number, len(taps.starts))
    if taps.copies:
        return compute(
            shape, lambda at: x(*with_axis(at, number, place(at[number]))), "resize_axis"
        )
    weights = kernel.table(taps.weights.T, "weights")
    k = te.reduce_axis((0, taps.count), name="k")

    def element(at: list[Index]) -> Any:
        i = at[number]
        source = x(*with_axis(at, number, place(i) + k)).astype(dtype)
        return te.sum(weights(k, i) * source, axis=k)

    return compute(shape, element, "resize_axis")
