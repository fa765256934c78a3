"""Dense layers strip by strip: rows are widened, results summed.

A strip is `width` neighboring results of a row. Its window, all rows under the kernel, is widened
into scratch memory, borders included. Strips are visited in one of two orders:

- sliding: a strip goes down the image; rows that the next window shares are moved up. Hardly
  anything is widened twice, but only strips as wide as the image can share memory with their input.
- otherwise row by row: each window is widened anew. The result follows close behind the input.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from .dense_image import DenseImage
from .dense_packing import Packed, Run
from .dense_rows import fill_cost, move_cost
from .dense_sums import SumsShape, sums_cost
from .dense_window import Window

_CALL = 12  # instructions around a call: its arguments, the loop
ALIGNED = 8  # bytes: of inputs, results and rows
_ROW = 4  # of a row or strip


@dataclass(frozen=True, eq=False)
class Strips:
    """One way to compute a dense layer.

    Attributes:
        image: What is computed.
        packed: The constants.
        width: Results of a strip.
        slides: Whether strips go down the image.
        most: The most results that a micro-kernel may compute at once.
    """

    image: DenseImage
    packed: Packed
    width: int
    slides: bool
    most: int = 3

    @property
    def row(self) -> int:
        """int16 from an expanded row to the next."""
        return self.image.row_elements(self.width)

    @property
    def window(self) -> Window:
        """What a result reads."""
        return self.image.window(self.row)

    @property
    def scratch_bytes(self) -> int:
        """Of the rows. The last piece may end with elements that count nothing."""
        rows = 2 * self.row * self.image.reach[0]
        return -(-(rows + 8 * (self.image.channels <= 2)) // 8) * 8

    @property
    def kept(self) -> int:
        """Rows of a window that the window below shares."""
        if not self.slides:
            return 0
        return max(self.image.reach[0] - self.image.stride[0], 0)

    def sums(self, run: Run, pixels: int) -> SumsShape:
        """The micro-kernel for a run of channels."""
        image = self.image
        return SumsShape(
            self.window,
            pixels,
            run.channels,
            run.shared,
            image.results,
            image.low,
            image.high,
            self.packed.left,
        )

    @property
    def most_pixels(self) -> int:
        """Results that a micro-kernel computes at once."""
        fitting = [
            n
            for n in range(self.most, 0, -1)
            if all(self.sums(r, n).fits for r in self.packed.runs)
        ]
        return max(fitting, default=0)

    def strips(self) -> list[tuple[int, int, int]]:
        """(first result, width, how many of them) of strips in a row."""
        count, rest = divmod(self.image.result_size[1], self.width)
        strips = [(0, self.width, count)] * (count > 0)
        return strips + [(count * self.width, rest, 1)] * (rest > 0)

    def lead(self) -> int:
        """Bytes by which the result must start before the input to share its memory."""
        end = prod(self.image.size) * self.image.channels
        lead, needed = -end, math.inf
        for first, written in reversed(list(self._steps())):
            if needed < math.inf:
                lead = max(lead, written - int(needed))
            needed = min(needed, first)
        return -(-lead // ALIGNED) * ALIGNED

    def _steps(self) -> Iterator[tuple[float, int]]:
        """The first byte that a strip reads, and the end of what it writes then, in order."""
        image = self.image
        (rows, columns), (result_rows, result_columns) = image.size, image.result_size
        starts = range(0, result_columns, self.width)
        if self.slides:
            order = [(y, first) for first in starts for y in range(result_rows)]
        else:
            order = [(y, first) for y in range(result_rows) for first in starts]
        for y, first in order:
            row = y * image.stride[0] - image.padding[0] + (self.kept if y else 0)
            column = max(first * image.stride[1] - image.padding[1], 0)
            read = (max(row, 0) * columns + column) * image.channels
            width = min(self.width, result_columns - first)
            written = (y * result_columns + first + width) * image.results
            yield read if row < rows else math.inf, written

    def cost(self) -> float:
        """Executed instructions with the DSP extension, about."""
        image = self.image
        below, reach = image.result_size[0], image.reach[0]
        pairs = self.row // 2
        fill = _CALL + fill_cost(pairs * reach) if self.has_border else 0
        windows = 1 if self.slides else below  # that are filled and widened from the start
        moved = _CALL + move_cost(pairs * self.kept) if self.kept else 0
        total = 0.0
        for first in range(0, image.result_size[1], self.width):
            width = min(self.width, image.result_size[1] - first)
            column = first * image.stride[1] - image.padding[1]
            pixels = min(column + image.columns_for(width), image.size[1]) - max(column, 0)
            total += self._rows_widened() * (_CALL + image.widening.cost(pixels))
            total += windows * fill + below * (self._sums_cost(width) + moved + _ROW)
        return total

    def _sums_cost(self, width: int) -> int:
        """Of all channels of a strip."""
        return self.image.groups * sum(
            calls * (_CALL + sums_cost(self.sums(run, pixels)))
            for pixels, calls in self.blocks(width)
            for run in self.packed.runs
        )

    def _rows_widened(self) -> int:
        """Rows that a column of strips widens: each of them once if it slides."""
        image = self.image
        tops = [y * image.stride[0] - image.padding[0] for y in range(image.result_size[0])]
        if self.slides:
            return min(tops[-1] + image.reach[0], image.size[0])
        taps = range(0, image.reach[0], image.dilation[0])
        return sum(0 <= top + tap < image.size[0] for top in tops for tap in taps)

    @property
    def has_border(self) -> bool:
        """Whether windows reach beyond the image."""
        image = self.image
        ends = [
            (results - 1) * stride + reach - padding > size
            for results, stride, reach, padding, size in zip(
                image.result_size, image.stride, image.reach, image.padding, image.size, strict=True
            )
        ]
        return any(image.padding) or any(ends)

    def blocks(self, width: int) -> list[tuple[int, int]]:
        """(pixels, calls) that make a strip; two and two are less work than three and one."""
        most = self.most_pixels
        count, rest = divmod(width, most)
        if most == 3 and rest == 1 and count:
            return [(3, count - 1)] * (count > 1) + [(2, 2)]
        return [(most, count)] * (count > 0) + [(rest, 1)] * (rest > 0)
