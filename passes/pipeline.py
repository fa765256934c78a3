"""What runs between tracing and lowering. The order is what you read."""

from ..compiler.pass_base import Pass
from .canonicalize import Canonicalize
from .fold_batch_norm import FoldBatchNorm
from .fold_constants import FoldConstants
from .fuse_attention import FuseAttention
from .fuse_linear import FuseLinear
from .fuse_regions import FuseRegions
from .remove_duplicates import RemoveDuplicates
from .remove_no_ops import RemoveNoOps

CPU_PIPELINE: tuple[Pass, ...] = (
    FoldConstants(),
    RemoveNoOps(),
    Canonicalize(),
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
