"""How a tensor of images lies in memory: channels last, with a border around each image.

Shapes in a program are always those that PyTorch has. A layout only says where the elements are,
and gives windows that reach over the edge something to read, so that no kernel copies its input to
pad it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layout:
    """[N, C, space...] stored as [N, before + space + after ..., C].

    The elements of the border all have the value `fill`.
    """

    before: tuple[int, ...]  # border elements in front, per axis of the space
    after: tuple[int, ...]  # and behind
    fill: float = 0.0

    @classmethod
    def without_border(cls, rank: int) -> "Layout":
        """Channels last for tensors of that rank, and nothing around the images."""
        return cls((0,) * (rank - 2), (0,) * (rank - 2))

    @property
    def has_border(self) -> bool:
        """Whether anything lies around the images."""
        return any(self.before) or any(self.after)

    def storage(self, shape: Sequence[int]) -> Shape:
        """The shape in memory of a tensor of this shape, border included."""
        n, c, *space = shape
        sizes = zip(self.before, space, self.after, strict=True)
        return (n, *(before + size + after for before, size, after in sizes), c)

    def strides(self, shape: Sequence[int]) -> Shape:
        """Elements from one index to the next, for each axis of `storage(shape)`."""
        storage = self.storage(shape)
        return tuple(math.prod(storage[axis + 1 :]) for axis in range(len(storage)))

    def offset(self, shape: Sequence[int]) -> int:
        """The place of the first element that is not border."""
        strides = self.strides(shape)[1:-1]
        return sum(b * stride for b, stride in zip(self.before, strides, strict=True))

    def is_plain(self, shape: Sequence[int]) -> bool:
        """Whether the bytes are those of a dense row-major tensor of this shape."""
        _, c, *space = shape
        return not self.has_border and (c == 1 or math.prod(space) == 1)

    def covers(self, wanted: "Layout") -> bool:
        """Whether a kernel that needs the border `wanted` finds it here."""
        if not wanted.has_border:
            return True
        pairs = zip((*self.before, *self.after), (*wanted.before, *wanted.after), strict=True)
        return self.fill == wanted.fill and all(mine >= other for mine, other in pairs)

    def __str__(self) -> str:
        if not self.has_border:
            return "channels last"
        around = ",".join(f"{b}+{a}" for b, a in zip(self.before, self.after, strict=True))
        return f"channels last, border {around} of {self.fill:g}"


def channels_last_shape(shape: Sequence[int]) -> Shape:
    """[N, C, space...] -> [N, space..., C]."""
    n, c, *space = shape
    return (n, *space, c)


def common_layout(wishes: Sequence[Layout]) -> Layout:
    """The smallest layout that serves as many wishes as possible, given at least one.

    Borders of different values exclude each other: the value wished most often wins.
    """
    rank = len(wishes[0].before) + 2
    bordered = [wish for wish in wishes if wish.has_border]
    if not bordered:
        return Layout.without_border(rank)
    fills = [wish.fill for wish in bordered]
    fill = max(dict.fromkeys(fills), key=fills.count)
    return reduce(_union, [wish for wish in bordered if wish.fill == fill])


def _union(left: Layout, right: Layout) -> Layout:
    before = tuple(map(max, left.before, right.before))
    return Layout(before, tuple(map(max, left.after, right.after)), left.fill)
