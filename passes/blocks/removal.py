"""Takes blocks out of a program."""

from ...compiler.ir.program import Program
from .block import Block


def remove_block(program: Program, block: Block) -> None:
    """Let what reads the block's result read its entry; what is dead then is dropped."""
    block.exit.replace_all_uses_with(block.entry)
    program.drop_dead()
