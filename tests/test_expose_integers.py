"""ExposeIntegers: int8 goes in and comes out where real numbers were only rounded to it."""

from textwrap import dedent

import torch
from torch.fx import Node

from penjing.compiler.ir.program import Program
from penjing.compiler.ir.rewrite import insert_call
from penjing.compiler.ir.steps import Steps, input_steps, output_steps
from penjing.compiler.pass_manager import optimize
from penjing.passes import ExposeIntegers
from penjing.passes.integer.values import DEQUANTIZE, QUANTIZE

from .support import program_of

_INT8 = (-128, 127, torch.int8)
X = torch.tensor([-2.0, 0.25, 1.0, 40.0])


def _quantize(before: Node, x: Node, scale: float = 0.5) -> Node:
    return insert_call(before, QUANTIZE, x, scale, 3, *_INT8)


def _dequantize(before: Node, q: Node) -> Node:
    return insert_call(before, DEQUANTIZE, q, 0.25, -1, *_INT8)


def _exposed(program: Program) -> Program:
    return optimize(program, [ExposeIntegers()])


def test_steps_of_inputs_and_outputs_are_noted() -> None:
    def make(before: Node, x: Node) -> Node:
        q = _quantize(before, x)
        flipped = insert_call(before, torch.ops.aten.flip.default, q, [0])
        return _dequantize(before, flipped)

    program = program_of(make, X)
    exposed = _exposed(program)
    assert str(exposed) == dedent("""\
        %0 = input x: i8[4]
        %1 = aten.flip(%0, [0]): i8[4]
        return %1
        """)
    assert input_steps(exposed) == [Steps(0.5, 3)] and output_steps(exposed) == [Steps(0.25, -1)]
    integers = ((X / 0.5).round() + 3).clamp(-128, 127).to(torch.int8)
    (got,) = exposed.run_flat(integers)
    (wanted,) = program.run_flat(X)
    assert torch.equal((got - -1.0) * 0.25, wanted)
    assert exposed.reports[-1].rewrites == 2


def test_equal_roundings_of_one_input_become_one() -> None:
    def make(before: Node, x: Node) -> tuple[Node, ...]:
        both = [_quantize(before, x) for _ in range(2)]
        return (insert_call(before, torch.ops.aten.maximum.default, *both),)

    exposed = _exposed(program_of(make, X))
    assert input_steps(exposed) == [Steps(0.5, 3)] and output_steps(exposed) == [None]


def test_inputs_in_two_steps_stay_real() -> None:
    def make(before: Node, x: Node) -> tuple[Node, ...]:
        return (_quantize(before, x), _quantize(before, x, 0.25))

    program = program_of(make, X, outputs=2)
    assert str(_exposed(program)) == str(program)


def test_inputs_that_are_also_read_as_real_numbers_stay_real() -> None:
    def make(before: Node, x: Node) -> tuple[Node, ...]:
        return (_quantize(before, x), insert_call(before, torch.ops.aten.relu.default, x))

    program = program_of(make, X, outputs=2)
    assert str(_exposed(program)) == str(program)
