"""Pooling to a wanted size: output position p covers [floor(p * I / O), ceil((p + 1) * I / O))."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tvm import te, tirx

from ...ir.tensor_spec import TensorSpec
from ..builder import KernelBuilder
from ..registry import lowers
from .gemm import accumulator, finished
from .indices import Index, flatten_index
from .pooling import FEW_CHANNELS, divide, global_mean, lowers_each_rank, lowest
from .row_reduction import OPERATORS
from .sliding import Found, from_found, tiling, total, window_sums
from .windows import Images, Sizes, framed, split_index

aten = torch.ops.aten


@dataclass(frozen=True)
class Span:
    """The elements of one input axis that each position of an output axis covers.

    Spans of unequal length are walked with the taps of the longest: the last taps of a shorter
    one stay inside the input, but do not count.
    """

    inputs: int
    outputs: int
    axis: Any  # reduction axis over the taps

    @classmethod
    def of(cls, inputs: int, outputs: int) -> "Span":
        """The span for these sizes."""
        ends = (-(-(p + 1) * inputs // outputs) for p in range(outputs))
        taps = max(end - p * inputs // outputs for p, end in enumerate(ends))
        return cls(inputs, outputs, te.reduce_axis((0, taps), name="t"))

    @property
    def is_uniform(self) -> bool:
        """Whether all positions cover as many elements."""
        return self.inputs % self.outputs == 0

    def where(self, p: Index) -> Index:
        """The element under the current tap."""
        tap = self._first(p) + self.axis
        return tap if self.is_uniform else tirx.min(tap, self.inputs - 1)

    def counts(self, p: Index) -> list[Any]:
        """Conditions under which the current tap counts."""
        return [] if self.is_uniform else [self._first(p) + self.axis < self._end(p)]

    def length(self, p: Index) -> Index:
        """How many elements a position covers."""
        return self.inputs // self.outputs if self.is_uniform else self._end(p) - self._first(p)

    def _first(self, p: Index) -> Index:
        if self.is_uniform:
            return p * (self.inputs // self.outputs)
        return tirx.floordiv(p * self.inputs, self.outputs)

    def _end(self, p: Index) -> Index:
        return tirx.floordiv((p + 1) * self.inputs + self.outputs - 1, self.outputs)


@lowers_each_rank(
    aten.adaptive_avg_pool1d.default,
    aten.adaptive_avg_pool2d.default,
    aten.adaptive_avg_pool3d.default,
)
def adaptive_avg_pool(
    rank: int, x: te.Tensor, size: Sizes, *, out: TensorSpec, kernel: KernelBuilder
) -> te.Tensor:
    """The mean of the elements that each output position covers."""
    if math.prod(out.shape[-rank:]) == 1:
        return global_mean(x, rank, out, kernel)
    images = Images(x, len(x.shape) == rank + 2)
    spans = _spans(images, out)
    dtype = accumulator(out.dtype)

    def mean(value: Any, at: Sequence[Index]) -> Any:
        lengths = (span.length(p) for span, p in zip(spans, at[-rank:], strict=True))
        return divide(value, math.prod(lengths), dtype)

    if images.channels < FEW_CHANNELS:
        axes = [span.axis for span in spans]

        def element(*at: Index) -> Any:
            return total(_read_at(images, spans, at, 0).astype(dtype), axis=axes)

        sums = te.compute(out.shape, element, name="sums")
        return finished(lambda at: sums(*at), out, mean)
    images = framed(x, (0,) * rank, (0,) * rank, 0, kernel, batched=images.batched)
    return from_found(_span_sums(images, spans, dtype), out, len(out.shape) == rank + 2, mean)


def _span_sums(images: Images, spans: Sequence[Span], dtype: str) -> Found:
    """The sums of what each position covers, images channels last."""
    sizes = [span.outputs for span in spans]
    if all(span.is_uniform for span in spans):
        taps = tuple(span.inputs // span.outputs for span in spans)
        return window_sums(images, tiling(taps), taps, sizes, dtype)

    def element(*at: Index) -> Any:
        n, *position, c = at
        value = _read(images, spans, n, c, position, 0).astype(dtype)
        return total(value, axis=[span.axis for span in spans])

    sums = te.compute((images.batch, *sizes, images.channels), element, name="sums")
    return lambda n, c, position: sums(n, *position, c)


@lowers(aten._adaptive_avg_pool2d.default, aten._adaptive_avg_pool3d.default)
def decomposed_adaptive_avg_pool(
    x: te.Tensor, size: Sequence[int], *, out: TensorSpec, kernel: KernelBuilder
) -> te.Tensor:
    """As `adaptive_avg_pool`; the sizes tell the rank."""
    return adaptive_avg_pool(len(size), x, size, out=out, kernel=kernel)


@lowers_each_rank(
    aten.adaptive_max_pool1d.default,
    aten.adaptive_max_pool2d.default,
    aten.adaptive_max_pool3d.default,
)
def adaptive_max_pool(
    rank: int, x: te.Tensor, size: Sizes, *, out: tuple[TensorSpec, TensorSpec]
) -> tuple[te.Tensor, te.Tensor]:
    """The maxima of what each output position covers, and their places as in `max_pool`."""
    images = Images(x, len(x.shape) == rank + 2)
    spans = _spans(images, out[0])
    axes = [span.axis for span in spans]
    border = lowest(out[0].dtype)

    maximum = OPERATORS["max"].reduce
    maxima = te.compute(
        out[0].shape,
        lambda *at: maximum(_read_at(images, spans, at, border), axis=axes),
        name="max",
    )

    def element(*at: Index) -> Any:
        _, _, position = split_index(at, images.batched)
        where = [span.where(p) for span, p in zip(spans, position, strict=True)]
        found = _read_at(images, spans, at, border).equal(maxima(*at))
        nowhere = math.prod(images.space)
        return te.min(tirx.Select(found, flatten_index(where, images.space), nowhere), axis=axes)

    first = te.compute(out[1].shape, element, name="first")
    return maxima, finished(lambda at: first(*at), out[1])


def _spans(images: Images, out: TensorSpec) -> list[Span]:
    space = images.space
    return [Span.of(i, o) for i, o in zip(space, out.shape[-len(space) :], strict=True)]


def _read_at(images: Images, spans: Sequence[Span], at: Sequence[Index], otherwise: float) -> Any:
    """The element under the current taps of a result, or `otherwise` if a tap does not count."""
    return _read(images, spans, *split_index(at, images.batched), otherwise)


def _read(
    images: Images,
    spans: Sequence[Span],
    n: Index,
    c: Index,
    position: Sequence[Index],
    otherwise: float,
) -> Any:
    where = [span.where(p) for span, p in zip(spans, position, strict=True)]
    conditions = [c for span, p in zip(spans, position, strict=True) for c in span.counts(p)]
    value = images.at(n, c, where)
    if not conditions:
        return value
    return tirx.Select(tirx.all(*conditions), value, tirx.const(otherwise, images.tensor.dtype))
