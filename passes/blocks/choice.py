"""Which blocks may go, and how many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from ...compiler.errors import CompileError
from ...compiler.ir.program import Program, origin_of
from ...compiler.macs import macs
from .block import Block, Level
from .distances import Distance
from .score_blocks import Score

_MEASURES = ("count", "ratio", "macs")
_CHOICES = {"level": get_args(Level), "score": get_args(Score), "distance": get_args(Distance)}


@dataclass(frozen=True)
class Goal:
    """How much is to go.

    Args:
        count: Blocks to remove, None where work counts.
        macs: Multiply-accumulates that may stay, where work counts.
    """

    count: int | None
    macs: float

    @classmethod
    def of(cls, program: Program, blocks: Sequence[Block], options: Mapping[str, Any]) -> "Goal":
        """What the options ask for.

        Raises:
            CompileError: There are not so many blocks.
        """
        if options["macs"] is not None:
            return cls(None, options["macs"] * work(program))
        innermost = [block for block in blocks if not any(_is_around(block, b) for b in blocks)]
        count = options["count"]
        if count is None:
            count = round(options["ratio"] * len(innermost))
        if count > len(innermost):
            raise CompileError(
                f"there are not {count} blocks to remove",
                got=f"{len(innermost)} at level {options['level']}: {names_of(innermost)}",
                fix="ask for fewer, another level=, or protect= less",
            )
        return cls(count, 0)

    def is_reached(self, program: Program, removed: int) -> bool:
        """Whether enough is gone."""
        return work(program) <= self.macs if self.count is None else removed >= self.count


def check_options(options: Mapping[str, Any]) -> None:
    """Refuse options that mean nothing."""
    given = [name for name in _MEASURES if options[name] is not None]
    if len(given) != 1:
        raise CompileError(
            "remove-layers must be told how much, in one way",
            got=", ".join(given) or "none of count, ratio, macs",
            fix="give count=2, ratio=0.25 to drop a quarter of the blocks, or macs=0.75 to keep"
            " three quarters of the work",
        )
    if options["count"] is not None and options["count"] < 1:
        raise CompileError("count must be 1 or more", got=f"count={options['count']}")
    for name in ("ratio", "macs"):
        if options[name] is not None and not 0 < options[name] <= 1:
            raise CompileError(f"{name} must be a fraction above 0", got=f"{options[name]}")
    if options["ridge"] is not None and not options["ridge"] > 0:
        raise CompileError("ridge must be above 0", got=f"ridge={options['ridge']}")
    for name, choices in _CHOICES.items():
        if options[name] not in choices:
            raise CompileError(
                f"unknown {name}", got=f"{name}={options[name]!r}", fix=f"use {', '.join(choices)}"
            )


def check_protected(program: Program, protect: Sequence[str]) -> None:
    """Refuse names that no module has."""
    paths = {origin_of(node).module_path for node in program.graph.nodes}
    known = {".".join(p.split(".")[:n]) for p in paths for n in range(1, p.count(".") + 2)}
    for name in protect:
        if name not in known:
            raise CompileError(
                "protect names a module that the program does not have",
                got=name,
                fix="print(program) shows the modules' names before those of their weights",
            )


def removable(blocks: Sequence[Block], level: Level, protect: Sequence[str]) -> list[Block]:
    """The blocks of a level that hold nothing protected.

    Raises:
        CompileError: There is none.
    """
    at_level = [block for block in blocks if block.is_at(level)]
    found = [block for block in at_level if not _holds(block, protect)]
    if not found:
        names = names_of(at_level) or names_of(blocks)
        raise CompileError(
            f"no block is left that can be removed at level {level}",
            got=f"blocks {names}" if names else "no residual block in the program",
            fix="use another level=, or protect= less" if names else "",
        )
    return found


def work(program: Program) -> int:
    """Multiply-accumulates of one inference."""
    return sum(map(macs, program.graph.nodes))


def names_of(blocks: Sequence[Block]) -> str:
    """The names, for a message."""
    return ", ".join(block.name for block in blocks)


def _is_around(block: Block, other: Block) -> bool:
    return set(other.nodes) < set(block.nodes)


def _holds(block: Block, protect: Sequence[str]) -> bool:
    """Whether a node of the block lies in one of the modules."""
    paths = [origin_of(node).module_path + "." for node in block.nodes]
    return any(path.startswith(f"{name}.") for name in protect for path in paths)
