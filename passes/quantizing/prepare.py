"""What all passes that round do first: make operators canonical, look for weights like NaN."""

from torch import Tensor
from torch.fx import Node

from ...compiler.errors import CompileError
from ...compiler.ir.program import Program, origin_of
from ...compiler.pass_base import Pass
from ..canonicalize import Canonicalize
from ..fold_batch_norm import FoldBatchNorm
from ..fold_constants import FoldConstants
from ..remove_no_ops import RemoveNoOps

_ALWAYS: tuple[Pass, ...] = (FoldConstants(), RemoveNoOps(), Canonicalize(), FoldBatchNorm())


def prepare(program: Program, fusion: Pass) -> int:
    """Make operators canonical, fold batch norms, fuse, drop what is dead; the rewrites made."""
    count = sum(each.run(program) for each in (*_ALWAYS, fusion))
    program.drop_dead()
    return count


def check_finite(layer: Node, weight: Tensor) -> None:
    """Check the weight of a layer.

    Raises:
        CompileError: It has an element that is infinite or not a number.
    """
    if not weight.isfinite().all():
        raise CompileError(
            "a weight is infinite or not a number",
            at=str(origin_of(layer)),
            got=str(layer.target),
            fix="check the model's weights",
        )
