"""What runs between tracing and lowering. The order is what you read."""

from collections.abc import Iterable

from ..compiler.pass_base import Pass
from .canonicalize import Canonicalize
from .expose_integers import ExposeIntegers
from .fold_batch_norm import FoldBatchNorm
from .fold_constants import FoldConstants
from .fold_dynamic_quantization import FoldDynamicQuantization
from .fold_quantization import FoldQuantization
from .fuse_attention import FuseAttention
from .fuse_linear import FuseLinear
from .fuse_regions import FuseRegions
from .remove_duplicates import RemoveDuplicates
from .remove_no_ops import RemoveNoOps

CPU_PIPELINE: tuple[Pass, ...] = (
    FoldConstants(),
    RemoveNoOps(),
    Canonicalize(),
    # Before anything joins layers of real numbers that can become layers of integers.
    FoldQuantization(),
    FoldDynamicQuantization(),
    # Batch norms become part of their layers while nothing else has joined these.
    FoldBatchNorm(),
    FuseLinear(),
    FuseAttention(),
    # The rewrites above leave constants and moves that are now next to each other.
    FoldConstants(),
    Canonicalize(),
    RemoveDuplicates(),
    FuseRegions(),
)


def cpu_pipeline(chosen: Iterable[Pass]) -> list[Pass]:
    """The passes for a CPU, with those that the user chose: first, or before regions are formed."""
    chosen = list(chosen)
    early = [pass_ for pass_ in chosen if not pass_.comes_last]
    late = [pass_ for pass_ in chosen if pass_.comes_last]
    return [*early, *CPU_PIPELINE[:-1], *late, CPU_PIPELINE[-1]]


def microcontroller_pipeline(chosen: Iterable[Pass]) -> list[Pass]:
    """The passes for a microcontroller: an int8 operator is a layer, int8 goes in and comes out."""
    *before, _ = cpu_pipeline(chosen)
    return [*before, ExposeIntegers(), FuseRegions(integers=False)]
