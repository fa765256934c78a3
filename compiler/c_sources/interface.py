"""Inputs and outputs of a program as the caller of its C function sees them."""

from dataclasses import dataclass

from torch.fx import Node

from ..ir.program import Program, node_spec
from ..ir.steps import Steps, input_steps, output_steps
from ..lowering.layers import IMAGE_RANK
from ..manifest import TensorEntry


@dataclass(frozen=True)
class Interface:
    """What the C function takes and gives."""

    inputs: tuple[TensorEntry, ...]
    outputs: tuple[TensorEntry, ...]


def interface_of(program: Program) -> Interface:
    """The inputs and outputs of a program after `microcontroller_pipeline`."""
    inputs = zip(program.input_names, program.input_nodes, input_steps(program), strict=True)
    outputs = zip(program.output_names, program.output_nodes, output_steps(program), strict=True)
    return Interface(
        tuple(_entry(*each) for each in inputs), tuple(_entry(*each) for each in outputs)
    )


def _entry(name: str, node: Node, steps: Steps | None) -> TensorEntry:
    spec = node_spec(node)
    return TensorEntry(
        name=name,
        spec=spec,
        channels_last=len(spec.shape) == IMAGE_RANK,
        scale=None if steps is None else steps.scale,
        zero_point=0 if steps is None else steps.zero_point,
    )
