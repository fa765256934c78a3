"""Gives a program integers where it took or returned the real numbers that they stand for."""

from torch.fx import Node

from ..compiler.ir.inference import fake_of
from ..compiler.ir.program import Program, node_spec
from ..compiler.ir.rewrite import arguments_of
from ..compiler.ir.steps import Steps, input_steps, note_input, note_outputs, output_steps
from ..compiler.ir.tensor_spec import TensorSpec
from ..compiler.pass_base import Pass
from .integer.values import DEQUANTIZE, QUANTIZE


class ExposeIntegers(Pass):
    """Take and return int8, so that a device without floating point calls an int8 model.

    1. An input that is only quantized, always in the same steps, becomes an int8 input.
    2. An output that is dequantized int8 becomes an int8 output.

    What the integers stand for is noted on the nodes (`compiler/ir/steps.py`).

    Needs: integer operators, so it runs behind `fold-quantization`.
    Keeps: the values that the integers stand for, exactly.
    Skips: inputs and outputs that the program computes with as real numbers.
    """

    name = "expose-integers"
    contract = "exact"

    def run(self, program: Program) -> int:
        """Change inputs and outputs; the number of them."""
        inputs = sum(_take_integers(node) for node in program.input_nodes)
        outputs = _return_integers(program)
        program.drop_dead()
        return inputs + outputs


def _take_integers(node: Node) -> bool:
    """Let an input be what its quantize nodes make of it."""
    readers = list(node.users)
    if not readers or any(reader.target is not QUANTIZE for reader in readers):
        return False
    if len({reader.args[1:] for reader in readers}) > 1:
        return False
    arguments = arguments_of(readers[0])
    note_input(node, Steps(arguments["scale"], arguments["zero_point"]))
    node.meta["val"] = fake_of(TensorSpec(node_spec(node).shape, node_spec(readers[0]).dtype))
    for reader in readers:
        reader.replace_all_uses_with(node)
        node.graph.erase_node(reader)
    return True


def _return_integers(program: Program) -> int:
    """Return what dequantize nodes at the end are made from; the number of such outputs."""
    steps, outputs = output_steps(program), list(program.output_nodes)
    count = 0
    for index, node in enumerate(outputs):
        if node.target is DEQUANTIZE:
            arguments = arguments_of(node)
            steps[index] = Steps(arguments["scale"], arguments["zero_point"])
            outputs[index] = arguments["input"]
            count += 1
    # an input that became integers and is returned as it is
    known = dict(zip(program.input_nodes, input_steps(program), strict=True))
    steps = [each or known.get(node) for each, node in zip(steps, outputs, strict=True)]
    if count:
        program.graph.output_node().args = (tuple(outputs),)
        note_outputs(program, steps)
    return count
