"""What the int8 inputs and outputs of a program stand for.

A pass that lets a program take or return integers instead of real numbers notes their steps on the
nodes; whoever calls the program needs them.
"""

from dataclasses import dataclass

from torch.fx import Node

from .program import Program

_KEY = "steps"


@dataclass(frozen=True)
class Steps:
    """An integer q stands for scale * (q - zero_point)."""

    scale: float
    zero_point: int


def note_input(node: Node, steps: Steps) -> None:
    """Note what the integers of an input stand for."""
    node.meta[_KEY] = [steps.scale, steps.zero_point]


def note_outputs(program: Program, steps: list[Steps | None]) -> None:
    """Note what the integers of each output stand for; None for outputs that are no integers."""
    noted = [None if each is None else [each.scale, each.zero_point] for each in steps]
    program.graph.output_node().meta[_KEY] = noted


def input_steps(program: Program) -> list[Steps | None]:
    """For each input what its integers stand for, None if it is not quantized."""
    found = (node.meta.get(_KEY) for node in program.input_nodes)
    return [None if pair is None else Steps(*pair) for pair in found]


def output_steps(program: Program) -> list[Steps | None]:
    """For each output what its integers stand for, None if it is not quantized."""
    noted = program.graph.output_node().meta.get(_KEY) or [None] * len(program.output_nodes)
    return [None if pair is None else Steps(*pair) for pair in noted]
