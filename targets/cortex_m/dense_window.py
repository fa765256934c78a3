"""What dense micro-kernels read: pieces of expanded rows, the same for every result.

Convolutions read int8 pixels that were widened to int16 once, into rows of their scratch memory. A
result is a sum over `rows` x `taps` pieces of `length` neighboring int16, so a convolution without
dilation has one piece for each row of its kernel, and no patch is ever copied (im2col).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Window:
    """Where the factors of a result lie, and those of its right neighbor. Offsets are in int16.

    Attributes:
        length: Elements of a piece; a multiple of 4.
        rows: Pieces below each other.
        row: From one to the next.
        taps: Pieces beside each other that do not touch.
        tap: From one to the next.
        pixel: From a result's factors to those of its right neighbor.
    """

    length: int
    rows: int = 1
    row: int = 0
    taps: int = 1
    tap: int = 0
    pixel: int = 0

    @property
    def factors(self) -> int:
        """Products that a result sums."""
        return self.length * self.rows * self.taps

    @property
    def name(self) -> str:
        """For names in C: all that distinguishes it."""
        parts = [f"{self.length}"]
        if self.taps > 1:
            parts = [f"{self.taps}x{self.length}by{self.tap}"]
        if self.rows > 1:
            parts = [f"{self.rows}x{parts[0]}", f"row{self.row}"]
        return "_".join([*parts, f"step{self.pixel}"])

    def nest(self) -> list[tuple[int, int]]:
        """(pieces, bytes from one to the next) of what has several, outer first."""
        both = ((self.rows, 2 * self.row), (self.taps, 2 * self.tap))
        return [(count, stride) for count, stride in both if count > 1]
