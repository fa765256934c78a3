"""What shrinking does to a program, and what it refuses."""

from textwrap import dedent

import numpy as np
import pytest
import torch
from torch import nn

from penjing.compiler.coupling import Coupling, analyze, shrink, zero_out
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from tests.coupling.cases import Packed


def small() -> tuple[Program, Coupling]:
    """Two convolutions, the second one depthwise, and a linear layer on their flat result."""
    torch.manual_seed(0)
    layers = (
        nn.Conv2d(1, 4, 3, bias=False),
        nn.Conv2d(4, 4, 3, groups=4),
        nn.Flatten(),
        nn.Linear(16, 2),
    )
    program = trace(nn.Sequential(*layers), (torch.zeros(1, 1, 6, 6),))
    return program, analyze(program)


def keep(*units: int) -> np.ndarray:
    """A mask of 4 units."""
    return np.isin(np.arange(4), units)


def test_the_text_of_a_smaller_program() -> None:
    program, coupling = small()
    assert shrink(program, coupling, {coupling.groups[0]: keep(0, 2, 3)}) == 4
    assert "\n" + str(program) == dedent("""
        %0 = input input: f32[1,1,6,6]
        %1 = aten.conv2d(%0, @0.weight): f32[1,3,4,4]
        %2 = aten.conv2d(%1, @1.weight, @1.bias, [1,1], [0,0], [1,1], 3): f32[1,3,2,2]
        %3 = aten.reshape(%2, [1,12]): f32[1,12]
        %4 = aten.linear(%3, @3.weight, @3.bias): f32[1,2]
        return %4
        """)


def test_rows_that_stay_are_those_of_the_original() -> None:
    program, coupling = small()
    before = program.copy().weights
    shrink(program, coupling, {coupling.groups[0]: keep(1, 3)})
    assert torch.equal(program.weights["0.weight"], before["0.weight"][[1, 3]])
    columns = before["3.weight"].reshape(2, 4, 4)[:, [1, 3]].reshape(2, 8)
    assert torch.equal(program.weights["3.weight"], columns)


def test_parameters_stay_what_they_are() -> None:
    program, coupling = small()
    program.weights["0.weight"].requires_grad_(False)
    shrink(program, coupling, {coupling.groups[0]: keep(1)})
    assert isinstance(program.weights["0.weight"], nn.Parameter)
    assert not program.weights["0.weight"].requires_grad
    assert program.weights["1.weight"].requires_grad


def test_keeping_everything_changes_nothing() -> None:
    program, coupling = small()
    text = str(program)
    assert shrink(program, coupling, {}) == 0
    assert shrink(program, coupling, {coupling.groups[0]: keep(0, 1, 2, 3)}) == 0
    assert str(program) == text


def test_a_masked_program_is_a_copy_with_zeros() -> None:
    program, coupling = small()
    masked = zero_out(program, coupling, {coupling.groups[0]: keep(2)})
    for name, rows in (("0.weight", 2), ("1.weight", 2), ("1.bias", 2)):
        assert not masked.weights[name][rows].any()
        assert program.weights[name][rows].any()
    assert not masked.weights["3.weight"][:, 8:12].any()
    assert masked.weights["3.weight"][:, :8].all()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.ones(3, bool), "one bool for each unit"),
        (np.ones(4), "one bool for each unit"),
        (np.zeros(4, bool), "at least one unit of a group must stay"),
    ],
)
def test_masks_that_do_not_fit(mask: np.ndarray, message: str) -> None:
    program, coupling = small()
    with pytest.raises(CompileError, match=message):
        shrink(program, coupling, {coupling.groups[0]: mask})
    assert program.weights["0.weight"].shape[0] == 4


def test_an_analysis_is_of_one_program() -> None:
    program, coupling = small()
    other, other_coupling = small()
    with pytest.raises(CompileError, match="the coupling is of another program"):
        shrink(other, coupling, {})
    with pytest.raises(CompileError, match="a group is not of this coupling"):
        shrink(program, coupling, {other_coupling.groups[0]: keep(1)})


def test_members_say_how_weights_take_part() -> None:
    _, coupling = small()
    (group,) = coupling.groups
    found = [(member.weight, member.dim, member.role) for member in group.members]
    assert found == [
        ("0.weight", 0, "out"),
        ("1.weight", 0, "out"),
        ("1.bias", 0, "scale"),
        ("3.weight", 1, "in"),
    ]
    assert group.members[3].units.tolist() == [unit for unit in range(4) for _ in range(4)]
    assert {str(node.target): dim for node, (dim, _) in group.nodes.items()} == {
        "aten.conv2d.default": 1,
        "aten.reshape.default": 1,
    }


def test_queries_keys_and_values_of_one_layer_are_members_by_head() -> None:
    program = trace(Packed(), (torch.zeros(2, 7, 16),))
    (group,) = analyze(program).groups
    rows = group.members[0].units.reshape(3, 4, 4)
    assert (rows == np.arange(4).reshape(1, 4, 1)).all()
