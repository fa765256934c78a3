"""Loops in machine code: which are innermost, what they hold, how long they take."""

import pytest
import torch

from benchmarks.executed import Instruction, executed_functions
from benchmarks.inner_loops import Loop, find_analyzer, inner_loops, time_loops
from penjing import targets
from penjing.compiler.errors import CompileError

from .hand_written import example_input, make_artifact

NESTED = """\
mov	x8, xzr
ldr	q16, [x1]
ldp	q0, q1, [sp, #32]
fmla	v0.4s, v16.4s, v2.s[0]
b.ne	8 <f+0x8>
add	x8, x8, #1
cbnz	x9, 4 <f+0x4>
str	q0, [sp]
b	4000 <g>
ret"""


def code(text: str, executions: int = 3) -> list[Instruction]:
    lines = text.splitlines()
    return [Instruction(4 * index, line, executions) for index, line in enumerate(lines)]


def test_only_the_loop_without_a_loop_in_it_is_innermost() -> None:
    (loop,) = inner_loops("f", code(NESTED))
    assert [instruction.address for instruction in loop.body] == [8, 12, 16]
    assert (loop.iterations, loop.executions, loop.spills) == (3, 9, 1)
    assert loop.multiply_adds == ("fmla\tv0.4s, v16.4s, v2.s[0]",)


def test_loops_that_never_ran_are_left_out() -> None:
    assert inner_loops("f", code(NESTED, executions=0)) == []


def test_only_vectors_on_the_stack_are_spills() -> None:
    text = "ldr\tx0, [sp, #8]\nstr\tq0, [x0]\nstur\td8, [sp, #-8]\nst1\t{v0.4s}, [sp]\n"
    body = tuple(code(text))
    assert Loop("f", body).spills == 1


@pytest.mark.parametrize(("target", "per_cycle"), [("arm-a72", 1), ("arm-a76", 2)])
def test_a_loop_of_independent_multiply_adds_is_at_the_peak(target: str, per_cycle: int) -> None:
    if not _has_analyzer():
        pytest.skip("llvm-mca not installed")
    adds = [f"fmla\tv{i}.4s, v30.4s, v31.s[0]" for i in range(24)]
    chain = ["fmla\tv0.4s, v30.4s, v31.s[0]"] * 24
    loops = [Loop("f", tuple(code("\n".join([*rows, "b.ne\t0 <f>"])))) for rows in (adds, chain)]
    good, bad = time_loops(loops, targets.get(target))
    assert good.of_peak == pytest.approx(1, rel=0.02)
    assert good.cycles == pytest.approx(24 / per_cycle, rel=0.02)
    assert bad.of_peak < 0.5


@pytest.mark.qemu
def test_every_instruction_is_counted_in_its_function() -> None:
    artifact, x = make_artifact("arm-a72"), example_input()
    functions = executed_functions(artifact, [torch.from_numpy(x)])
    model = {name: rows for name, rows in functions.items() if name.startswith("model_")}
    total = sum(row.executions for rows in model.values() for row in rows)
    # The shared library, which the artifact runs, takes a few more to call its own functions.
    assert 0 <= artifact.count_instructions(x) - total < 16
    costs: dict[str, int] = {}
    for row in artifact.profile(x).rows:
        costs[row.call.kernel] = costs.get(row.call.kernel, 0) + row.cost
    for kernel, cost in costs.items():
        assert 0 <= cost - sum(row.executions for row in model[kernel]) < 60  # passing arguments
    (loop, *_) = inner_loops("model_k1", model["model_k1"])
    assert loop.iterations <= 12


def _has_analyzer() -> bool:
    try:
        return bool(find_analyzer())
    except CompileError:
        return False
