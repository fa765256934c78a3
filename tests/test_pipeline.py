from random import Random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._pytree import tree_map

from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.ir.regions import regions
from penjing.compiler.pass_manager import optimize
from penjing.passes.pipeline import CPU_PIPELINE
from tests.random_programs import random_program
from tests.support import assert_close
from tests.zoo import ZOO, call, make, tensors_of

QUICK = ("own_mobilenet_v2", "own_transformer", "gpt2", "llama")
FLOAT32_ONLY = ("mixtral",)  # its grouped product knows no float64


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 40))
def test_random_programs_keep_their_values(seed: int, size: int) -> None:
    program, x = random_program(Random(seed), size)
    result = optimize(program, CPU_PIPELINE)
    assert_close(result.run(x), program.run(x), 1e-9)  # float64, sums in another order
    _check_regions(result)


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ZOO]
)
def test_models_keep_their_values(name: str) -> None:
    """In float64, where deep models do not amplify the rounding of a folded batch norm."""
    model, inputs = make(name)
    if name not in FLOAT32_ONLY:
        model, inputs = model.double(), tree_map(_double, inputs)
    program = optimize(trace(model, inputs), CPU_PIPELINE)
    got = program.run(**inputs) if isinstance(inputs, dict) else program.run(*inputs)
    tolerance = 1e-6 if name in FLOAT32_ONLY else 1e-11
    assert_close(tensors_of(got), tensors_of(call(model, inputs)), tolerance)
    _check_regions(program)
    again = optimize(program, CPU_PIPELINE).reports[len(program.reports) :]
    assert {report.name: report.rewrites for report in again if report.rewrites} == {}


def _double(value: torch.Tensor) -> torch.Tensor:
    return value.double() if value.is_floating_point() else value


def _check_regions(program: Program) -> None:
    """Every call is in exactly one region, which comes after all regions it reads."""
    seen = {*program.graph.find_nodes(op="get_attr"), *program.input_nodes}
    for region in regions(program):
        assert seen.issuperset(region.inputs)
        assert seen.isdisjoint(region.nodes)
        assert region.outputs
        seen |= set(region.nodes)
    assert seen == {node for node in program.graph.nodes if node.op != "output"}


def test_programs_of_two_hundred_calls() -> None:
    program, x = random_program(Random(7), 200)
    result = optimize(program, CPU_PIPELINE)
    assert_close(result.run(x), program.run(x), 1e-9)
    _check_regions(result)
