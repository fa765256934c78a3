"""Normal forms, as text. That they compute the same is shown in test_trace.py."""

from textwrap import dedent

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from penjing.compiler.frontend.forms.registry import normalizes
from tests.functions import text_of, traced

M = torch.arange(6.0).reshape(2, 3)
C = torch.ones(1, 2, 4)


def test_every_view_is_one_reshape_and_copies_vanish() -> None:
    assert text_of(lambda x: x.unsqueeze(0).clone().flatten().view(3, 2), M) == dedent("""
        %0 = input args_0: f32[2,3]
        %1 = aten.reshape(%0, [1,2,3]): f32[1,2,3]
        %2 = aten.reshape(%1, [6]): f32[6]
        %3 = aten.reshape(%2, [3,2]): f32[3,2]
        return %3
        """)


def test_what_changes_nothing_is_the_operand() -> None:
    def nothing(x: torch.Tensor) -> torch.Tensor:
        x = x.view(2, 3).permute(0, 1).float().expand(2, -1)[:, 0:9].to("cpu").detach()
        x = F.pad(F.dropout(x, training=False), (0, 0)).squeeze(0)
        return x.split([3], 1)[0]  # type: ignore[no-any-return]

    assert text_of(nothing, M) == dedent("""
        %0 = input args_0: f32[2,3]
        return %0
        """)


def test_dims_and_indices_count_from_the_front() -> None:
    assert text_of(lambda x: x.transpose(-1, -2)[-2:, -1].softmax(-1), M) == dedent("""
        %0 = input args_0: f32[2,3]
        %1 = aten.permute(%0, [1,0]): f32[3,2]
        %2 = aten.slice.Tensor(%1, 0, 1, 3): f32[2,2]
        %3 = aten.select.int(%2, 1, 1): f32[2]
        %4 = aten.softmax.int(%3, 0): f32[2]
        return %4
        """)


def test_splits_are_slices() -> None:
    assert text_of(lambda x: (*x.chunk(2, -1), *x.split(1)), M) == dedent("""
        %0 = input args_0: f32[2,3]
        %1 = aten.slice.Tensor(%0, 1, 0, 2): f32[2,2]
        %2 = aten.slice.Tensor(%0, 1, 2, 3): f32[2,1]
        %3 = aten.slice.Tensor(%0, 0, 0, 1): f32[1,3]
        %4 = aten.slice.Tensor(%0, 0, 1, 2): f32[1,3]
        return %1, %2, %3, %4
        """)


def test_writes_become_values() -> None:
    def write(x: torch.Tensor) -> torch.Tensor:
        x = x + 0.5
        x.mul_(2).relu_()
        return x

    assert text_of(write, M) == dedent("""
        %0 = input args_0: f32[2,3]
        %1 = aten.add.Tensor(%0, 0.5): f32[2,3]
        %2 = aten.mul.Tensor(%1, 2): f32[2,3]
        %3 = aten.relu(%2): f32[2,3]
        return %3
        """)


def test_stack_repeat_and_roll_are_joins_and_expansions() -> None:
    assert text_of(lambda x: (torch.stack([x, x]), x.repeat(2, 1), x.roll(1, -1)), M) == dedent("""
        %0 = input args_0: f32[2,3]
        %1 = aten.reshape(%0, [1,2,3]): f32[1,2,3]
        %2 = aten.reshape(%0, [1,2,3]): f32[1,2,3]
        %3 = aten.cat([%1,%2]): f32[2,2,3]
        %4 = aten.reshape(%0, [1,2,1,3]): f32[1,2,1,3]
        %5 = aten.expand(%4, [2,2,1,3]): f32[2,2,1,3]
        %6 = aten.reshape(%5, [4,3]): f32[4,3]
        %7 = aten.slice.Tensor(%0, 1, 2, 3): f32[2,1]
        %8 = aten.slice.Tensor(%0, 1, 0, 2): f32[2,2]
        %9 = aten.cat([%7,%8], 1): f32[2,3]
        return %3, %6, %9
        """)


def test_products_are_matmul_and_linear() -> None:
    program = traced(
        lambda linear, x: torch.addmm(linear.bias, x, linear.weight.t()) + x.mm(x.t())[0, 0],
        M,
        modules=(nn.Linear(3, 4),),
    )
    assert "\n" + str(program) == dedent("""
        %0 = input args_0: f32[2,3]
        %1 = aten.linear(%0, @parts.0.weight, @parts.0.bias): f32[2,4]
        %2 = aten.permute(%0, [1,0]): f32[3,2]
        %3 = aten.matmul(%0, %2): f32[2,2]
        %4 = aten.select.int(%3, 0, 0): f32[2]
        %5 = aten.select.int(%4, 0, 0): f32[]
        %6 = aten.add.Tensor(%1, %5): f32[2,4]
        return %6
        """)


def test_padding_by_name_becomes_numbers() -> None:
    model = nn.Conv1d(2, 1, 4, padding="same", bias=False)
    program = traced(lambda conv, x: conv(x), C, modules=(model,))
    assert "\n" + str(program) == dedent("""
        %0 = input args_0: f32[1,2,4]
        %1 = aten.pad(%0, [0,1]): f32[1,2,5]
        %2 = aten.conv1d(%1, @parts.0.weight, none, [1], [1]): f32[1,1,4]
        return %2
        """)


def test_norms_have_one_form_of_each_kind() -> None:
    def norms(instance: nn.Module, running: nn.Module, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = running(instance(x))
        return y

    modules = (nn.InstanceNorm1d(2), nn.InstanceNorm1d(2, track_running_stats=True))
    assert "\n" + str(traced(norms, C, modules=modules)) == dedent("""
        %0 = input args_0: f32[1,2,4]
        %1 = aten.group_norm(%0, 2): f32[1,2,4]
        %2 = aten.batch_norm(%1, none, none, @parts.1.running_mean, @parts.1.running_var, false, 0.1, 1e-05, false): f32[1,2,4]
        return %2
        """)  # noqa: E501


def test_what_depends_on_shapes_alone_is_a_constant() -> None:
    def shapes(x: torch.Tensor) -> torch.Tensor:
        return x + torch.ones_like(x).cumsum(1) * x.size(0) + x.new_full((3,), 2).sum()

    assert text_of(shapes, M) == dedent("""
        %0 = input args_0: f32[2,3]
        %1 = aten.add.Tensor(%0, @_constants.2): f32[2,3]
        %2 = aten.add.Tensor(%1, @_constants.1): f32[2,3]
        return %2
        """)


def test_circular_padding_joins_and_negative_padding_crops() -> None:
    assert text_of(lambda x: (F.pad(x, (1, 0), "circular"), F.pad(x, (-1, 2))), C) == dedent("""
        %0 = input args_0: f32[1,2,4]
        %1 = aten.slice.Tensor(%0, 2, 3, 4): f32[1,2,1]
        %2 = aten.cat([%1,%0], 2): f32[1,2,5]
        %3 = aten.slice.Tensor(%0, 2, 1, 4): f32[1,2,3]
        %4 = aten.pad(%3, [0,2]): f32[1,2,5]
        return %2, %4
        """)


def test_a_second_rule_for_an_operator_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"two normal forms for aten\.view"):
        normalizes(torch.ops.aten.view.default)(lambda emit, x: x)
