"""What the caller of `compile` chooses about the kernels."""

from dataclasses import dataclass

from ..errors import CompileError

MOST_THREADS = 64
_WINOGRAD = (0, 2, 4)


@dataclass(frozen=True, kw_only=True)
class KernelOptions:
    """Choices that change the generated code.

    Raises:
        CompileError: A value is out of range.
    """

    threads: int = 1  # most threads of one inference
    # Side of the largest output tile of Winograd convolutions: 4 is fastest, and rounds up to 1e-5
    # of the largest output away in each layer; 2 is as exact as direct convolutions (0).
    winograd: int = 4

    def __post_init__(self) -> None:
        if not 1 <= self.threads <= MOST_THREADS:
            raise CompileError(
                f"threads must be 1 to {MOST_THREADS}", got=f"threads={self.threads}"
            )
        if self.winograd not in _WINOGRAD:
            raise CompileError(
                "winograd must be 0 (off), 2 or 4 (the side of a tile)",
                got=f"winograd={self.winograd}",
            )

    @property
    def winograd_tiles(self) -> tuple[int, ...]:
        """Sides of the tiles that may be used."""
        return tuple(tile for tile in _WINOGRAD if 0 < tile <= self.winograd)
