"""Where windows of convolutions and pooling stand, from the attributes that ONNX gives them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor
from torch.nn import functional

from ..call import Call

MOST_AXES = 3  # of images, beside batch and channels


@dataclass(frozen=True)
class Windows:
    """One entry for each axis of the image.

    Args:
        sizes: Elements that a window reads.
        strides: Steps from one window to the next.
        dilations: Steps from one element of a window to the next.
        begins: Elements in front of the image.
        ends: Elements behind the image; less than 0 where its last ones are not read.
        counts: Number of windows.
        images: Elements of the image.
    """

    sizes: list[int]
    strides: list[int]
    dilations: list[int]
    begins: list[int]
    ends: list[int]
    counts: list[int]
    images: list[int]

    @property
    def rank(self) -> int:
        return len(self.sizes)

    @property
    def is_even(self) -> bool:
        """Whether there is as much padding in front as behind."""
        return self.begins == self.ends and min(self.begins, default=0) >= 0

    def padded(self, x: Tensor, value: float | int = 0) -> Tensor:
        """The images [N, C, ...] with their padding."""
        around = [
            size for pair in zip(self.begins[::-1], self.ends[::-1], strict=True) for size in pair
        ]
        return functional.pad(x, around, value=value) if any(around) else x

    def reaching(self) -> "Windows":
        """The same windows, with the padding behind that just reaches their last element."""
        spans = zip(self.counts, self.strides, self.sizes, self.dilations, strict=True)
        reached = [(count - 1) * step + (size - 1) * gap + 1 for count, step, size, gap in spans]
        starts = zip(reached, self.images, self.begins, strict=True)
        return replace(self, ends=[end - image - begin for end, image, begin in starts])

    def elements(self, *, with_padding: bool) -> list[np.ndarray]:
        """For each axis, how many elements each window has inside the image or its padding."""
        return [self._elements(axis, with_padding) for axis in range(self.rank)]

    def _elements(self, axis: int, with_padding: bool) -> np.ndarray:
        first = np.arange(self.counts[axis]) * self.strides[axis] - self.begins[axis]
        places = first[:, None] + np.arange(self.sizes[axis]) * self.dilations[axis]
        low = -self.begins[axis] if with_padding else 0
        high = self.images[axis] + (self.ends[axis] if with_padding else 0)
        return np.asarray(((places >= low) & (places < high)).sum(1))


def each_axis(call: Call, name: str, default: int, rank: int) -> list[int]:
    """An attribute that has one number for each axis of the image."""
    found = call.attribute(name, [default] * rank)
    if len(found) != rank:
        raise call.refused(f"attribute {name} is {found} for images of {rank} axes")
    return [int(number) for number in found]


def image_of(call: Call, x: Tensor) -> list[int]:
    """The sizes of the images [N, C, ...]."""
    if not 1 <= x.dim() - 2 <= MOST_AXES:
        raise call.refused(f"its images have {x.dim() - 2} axes, not 1 to {MOST_AXES}")
    return list(x.shape[2:])


def windows_of(call: Call, x: Tensor, sizes: Sequence[int]) -> Windows:
    """The windows of `sizes` over images [N, C, ...], from `auto_pad`, `pads` and so on."""
    images = image_of(call, x)
    rank = len(images)
    if len(sizes) != rank:
        raise call.refused(f"windows of {list(sizes)} for images of {rank} axes")
    strides, dilations = (each_axis(call, name, 1, rank) for name in ("strides", "dilations"))
    if min(*strides, *dilations, *sizes) < 1:
        raise call.refused(f"sizes {list(sizes)}, strides {strides}, dilations {dilations}")
    spans = [(size - 1) * gap + 1 for size, gap in zip(sizes, dilations, strict=True)]
    begins, ends = _padding(call, images, spans, strides)
    counts = [
        _count(
            image + begin + end - span, step, image + begin, bool(call.attribute("ceil_mode", 0))
        )
        for image, begin, end, span, step in zip(images, begins, ends, spans, strides, strict=True)
    ]
    if min(counts) < 1:
        raise call.refused(f"windows of {spans} do not fit images of {images}")
    call.bounded(max(count * size for count, size in zip(counts, sizes, strict=True)))
    return Windows(list(sizes), strides, dilations, begins, ends, counts, images)


def _padding(
    call: Call, images: list[int], spans: list[int], strides: list[int]
) -> tuple[list[int], list[int]]:
    """Elements in front of and behind each axis."""
    rank, auto_pad = len(images), call.attribute("auto_pad", "NOTSET")
    if auto_pad in ("NOTSET", ""):
        pads = call.attribute("pads", [0] * 2 * rank)
        if len(pads) != 2 * rank:
            raise call.refused(f"attribute pads is {pads} for images of {rank} axes")
        return list(pads[:rank]), list(pads[rank:])
    if auto_pad == "VALID":
        return [0] * rank, [0] * rank
    totals = [
        max((-(-image // step) - 1) * step + span - image, 0)
        for image, span, step in zip(images, spans, strides, strict=True)
    ]
    return halves(call, totals, auto_pad)


def halves(call: Call, totals: list[int], auto_pad: str) -> tuple[list[int], list[int]]:
    """Padding that is shared between front and back as `auto_pad` says."""
    less, more = [total // 2 for total in totals], [total - total // 2 for total in totals]
    if auto_pad == "SAME_UPPER":
        return less, more
    if auto_pad == "SAME_LOWER":
        return more, less
    raise call.refused(f"attribute auto_pad is {auto_pad!r}")


def _count(room: int, step: int, start: int, rounds_up: bool) -> int:
    """Windows along an axis where the first leaves `room`; none starts behind the image."""
    if room < 0:
        return 0
    if not rounds_up:
        return room // step + 1
    count = -(-room // step) + 1
    return count - 1 if (count - 1) * step >= start else count
