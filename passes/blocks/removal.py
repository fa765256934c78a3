"""Takes blocks out of a program."""

from torch.fx import Node

from ...compiler.ir.program import Program
from .block import Block


def ends_of(block: Block, *, own_tail: bool) -> tuple[Node, Node]:
    """What will stand in for the block, and the value whose place it takes.

    Args:
        block: Any.
        own_tail: Whether to keep the norm at the block's end rather than the one at its entry,
            where both are there: what follows then finds the scales that it was made for.
    """
    if own_tail and block.entry_sum is not None:
        return block.entry_sum, block.sum
    return block.entry, block.exit


def remove_block(program: Program, block: Block, *, own_tail: bool = False) -> None:
    """Let what reads the block's result read its entry; what is dead then is dropped."""
    kept, gone = ends_of(block, own_tail=own_tail)
    gone.replace_all_uses_with(kept)
    program.drop_dead()
