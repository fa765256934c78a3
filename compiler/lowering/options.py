"""What the caller of `compile` chooses about the kernels."""

from dataclasses import dataclass

from ...targets.mobile_gpus import MobileGpu
from ...targets.target import Target
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
    # Whether products of float16 are also summed in float16, twice as many at once.
    half_arithmetic: bool = False

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


def half_arithmetic(half: str, target: Target) -> bool:
    """Whether float16 is "arithmetic" and not only "storage" on the target.

    Raises:
        CompileError: `half` is none of the two, or the core does not compute with float16.
    """
    if half not in ("storage", "arithmetic"):
        raise CompileError('half must be "storage" or "arithmetic"', got=f"half={half!r}")
    if half == "arithmetic" and not (isinstance(target, MobileGpu) or target.has_half_arithmetic):
        raise CompileError(
            f"{target.name} has no arithmetic on float16",
            got=f"half={half!r}",
            fix='use half="storage", or a target that has it, such as arm-a55 or arm-a76',
        )
    return half == "arithmetic"
