import operator
from textwrap import dedent
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.fx import Node

from penjing.compiler.ir.rewrite import insert_call
from penjing.compiler.pass_manager import optimize
from penjing.passes import Canonicalize
from tests.support import assert_close, body, program_of

aten = torch.ops.aten
X = torch.linspace(-3, 3, 24).reshape(2, 3, 4)


def _calls(before: Node, value: Any, calls: list[tuple[Any, ...]]) -> Any:
    """A chain of calls on `value`; a dict at the end of one holds its keyword arguments."""
    for target, *rest in calls:
        kwargs = rest.pop() if rest and isinstance(rest[-1], dict) else {}
        value = insert_call(before, target, value, *rest, **kwargs)
    return value


def _canonical(*calls: tuple[Any, ...], x: Tensor = X) -> str:
    """The body of a program of these calls once it is canonical; its values are unchanged."""
    program = program_of(lambda before, x: _calls(before, x, list(calls)), x)
    result = optimize(program, [Canonicalize()])
    assert_close(result.run(x), program.run(x), 0)
    assert optimize(result, [Canonicalize()]).reports[-1].rewrites == 0
    return body(result)


def test_views_are_reshapes() -> None:
    got = _canonical(
        (aten.unsqueeze.default, 1), (aten.flatten.using_ints, 2), (aten.squeeze.dim, 1)
    )
    assert got == "%1 = aten.reshape(%0, [2,12]): f32[2,12]\nreturn %1"


def test_permutations_are_composed() -> None:
    assert _canonical((aten.transpose.int, 0, 1), (aten.permute.default, [0, -1, 1])) == dedent("""\
        %1 = aten.permute(%0, [1,2,0]): f32[3,4,2]
        return %1""")


def test_a_permutation_and_its_inverse_cancel() -> None:
    calls = [(aten.permute.default, [1, 2, 0]), (aten.permute.default, [2, 0, 1])]
    assert _canonical(*calls) == "return %0"


def test_moving_axes_of_size_1_is_a_reshape() -> None:
    assert _canonical((aten.permute.default, [0, 2, 1]), x=X.reshape(1, 1, 24)) == dedent("""\
        %1 = aten.reshape(%0, [1,24,1]): f32[1,24,1]
        return %1""")


def test_expansions_are_composed() -> None:
    calls = [(aten.expand.default, [2, 2, 3, 4]), (aten.expand.default, [5, 2, 2, 3, 4])]
    assert _canonical(*calls) == dedent("""\
        %1 = aten.expand(%0, [5,2,2,3,4]): f32[5,2,2,3,4]
        return %1""")


def test_an_expansion_that_repeats_nothing_is_a_reshape() -> None:
    assert _canonical((aten.expand.default, [1, 2, 3, 4])) == dedent("""\
        %1 = aten.reshape(%0, [1,2,3,4]): f32[1,2,3,4]
        return %1""")


@pytest.mark.parametrize(
    ("first", "second", "result"),
    [
        ((1, 9, 1), (1, 4, 1), "2, 5"),
        ((1, 10, 3), (1, 3, 1), "4, 8, 3"),
        ((0, 10, 2), (1, 5, 2), "2, 7, 4"),
        ((2, 9, 1), (3, 3, 1), "5, 5"),
    ],
)
def test_slices_are_composed(first: tuple[int, ...], second: tuple[int, ...], result: str) -> None:
    got = _canonical(
        (aten.slice.Tensor, 0, *first), (aten.slice.Tensor, 0, *second), x=torch.arange(10.0)
    )
    assert f"aten.slice.Tensor(%0, 0, {result})" in got


def test_slices_along_other_axes_stay() -> None:
    got = _canonical((aten.slice.Tensor, 1, 1, 3), (aten.slice.Tensor, 2, 0, 2))
    assert got.count("aten.slice") == 2


def test_a_part_of_a_split_is_a_slice() -> None:
    assert _canonical((aten.split.Tensor, 2, -1), (operator.getitem, 1)) == dedent("""\
        %1 = aten.slice.Tensor(%0, 2, 2, 4): f32[2,3,2]
        return %1""")


def test_a_part_of_an_unbind_is_a_selection() -> None:
    assert _canonical((aten.unbind.int, 1), (operator.getitem, 2)) == dedent("""\
        %1 = aten.select.int(%0, 1, 2): f32[2,4]
        return %1""")


def test_selected_from_a_slice_is_selected_from_its_source() -> None:
    assert _canonical((aten.slice.Tensor, 2, 1, 4, 2), (aten.select.int, 2, 1)) == dedent("""\
        %1 = aten.select.int(%0, 2, 3): f32[2,3]
        return %1""")


def test_selection_from_size_1_is_a_reshape() -> None:
    assert _canonical((aten.select.int, 1, 0), x=X.reshape(2, 1, 12)) == dedent("""\
        %1 = aten.reshape(%0, [2,12]): f32[2,12]
        return %1""")


def test_parts_are_selected_before_they_are_permuted() -> None:
    assert _canonical((aten.permute.default, [2, 1, 0]), (aten.select.int, 0, 3)) == dedent("""\
        %1 = aten.select.int(%0, 2, 3): f32[2,3]
        %2 = aten.permute(%1, [1,0]): f32[3,2]
        return %2""")


def test_selections_pass_a_reshape_on_their_way_to_a_permutation() -> None:
    calls = [
        (aten.permute.default, [2, 0, 1]),
        (aten.reshape.default, [4, 6]),
        (aten.select.int, 0, 1),
    ]
    assert _canonical(*calls) == dedent("""\
        %1 = aten.select.int(%0, 2, 1): f32[2,3]
        %2 = aten.reshape(%1, [6]): f32[6]
        return %2""")


@pytest.mark.parametrize(("axes", "name"), [([0, 2, 1, 3], "shuffle"), ([0, 2, 3, 1], "permute")])
def test_exchanged_groups_of_channels_are_a_shuffle(axes: list[int], name: str) -> None:
    calls = [
        (aten.reshape.default, [1, 2, 3, 4]),
        (aten.permute.default, axes),
        (aten.reshape.default, [1, 6, 4]),
    ]
    text = _canonical(*calls, x=torch.randn(1, 6, 4))
    assert name in text
    assert ("%1 = aten.channel_shuffle(%0, 2): f32[1,6,4]" in text) is (name == "shuffle")


def test_joins_are_joined() -> None:
    def make(before: Node, x: Node) -> Node:
        inner = insert_call(before, aten.cat.default, [x, x], -1)
        return insert_call(before, aten.cat.default, [inner, x], 2)

    result = optimize(program_of(make, X), [Canonicalize()])
    assert body(result) == "%1 = aten.cat([%0,%0,%0], 2): f32[2,3,12]\nreturn %1"


@pytest.mark.parametrize(
    ("start", "middle", "end", "casts"),
    [
        (torch.float32, torch.float64, torch.float32, 0),
        (torch.bfloat16, torch.float32, torch.float16, 1),
        (torch.int8, torch.int64, torch.int32, 1),
        (torch.float32, torch.bfloat16, torch.float32, 2),
        (torch.int64, torch.float32, torch.int64, 2),
        (torch.float32, torch.int32, torch.float32, 2),
    ],
)
def test_a_cast_through_a_wider_type_is_direct(
    start: torch.dtype, middle: torch.dtype, end: torch.dtype, casts: int
) -> None:
    got = _canonical((aten.to.dtype, middle), (aten.to.dtype, end), x=X.to(start))
    assert got.count("aten._to_copy") == casts


@pytest.mark.parametrize(
    ("call", "spelling"),
    [
        ((aten.add.Scalar, 1), "aten.add.Tensor(%0, 1)"),
        ((aten.rsub.Scalar, 1), "aten.sub.Tensor(1, %0)"),
        ((aten.div.Tensor, 4), "aten.mul.Tensor(%0, 0.25)"),
        ((aten.div.Tensor, -0.5), "aten.mul.Tensor(%0, -2.0)"),
        ((aten.div.Tensor, 3.0), "aten.div.Tensor(%0, 3.0)"),
        ((aten.hardtanh.default, -1.0, 2.0), "aten.clamp(%0, -1.0, 2.0)"),
        ((aten.hardtanh.default, 0.0, 6.0), "aten.clamp(%0, 0.0, 6.0)"),
        ((aten.relu6.default,), "aten.clamp(%0, 0.0, 6.0)"),
        ((aten.clamp_min.default, -1), "aten.clamp(%0, -1)"),
        ((aten.clamp_max.default, 1), "aten.clamp(%0, none, 1)"),
        ((aten.clamp_min.default, 0), "aten.relu(%0)"),
        ((aten.square.default,), "aten.mul.Tensor(%0, %0)"),
        ((aten.pow.Tensor_Scalar, 2), "aten.mul.Tensor(%0, %0)"),
        ((aten.pow.Tensor_Scalar, 3.0), "aten.mul.Tensor(%1, %0)"),
        ((aten.pow.Tensor_Scalar, 0.5), "aten.sqrt(%0)"),
        ((aten.pow.Tensor_Scalar, -0.5), "aten.rsqrt(%0)"),
        ((aten.pow.Tensor_Scalar, -1), "aten.reciprocal(%0)"),
        ((aten.pow.Tensor_Scalar, 2.5), "aten.pow.Tensor_Scalar(%0, 2.5)"),
        ((aten.mean.default,), "aten.mean.dim(%0, [0,1,2])"),
        ((aten.max.default,), "aten.amax(%0, [0,1,2])"),
        ((aten.sum.dim_IntList, [-1, 0]), "aten.sum.dim_IntList(%0, [0,2])"),
        ((aten.amin.default,), "aten.amin(%0, [0,1,2])"),
        ((aten.softmax.int, -1), "aten.softmax.int(%0, 2)"),
    ],
)
def test_arithmetic_has_one_spelling(call: tuple[Any, ...], spelling: str) -> None:
    assert spelling in _canonical(call)


@pytest.mark.parametrize(
    ("call", "x"),
    [
        ((aten.hardtanh.default, -1.0, 1.0), torch.arange(5)),
        ((aten.div.Tensor, 2), torch.arange(5)),
        ((aten.pow.Tensor_Scalar, 0.5), torch.arange(5)),
    ],
)
def test_integers_keep_their_spelling(call: tuple[Any, ...], x: Tensor) -> None:
    assert str(call[0]).removesuffix(".default") in _canonical(call, x=x)


def _binary(target: Any, left_is_weight: bool, weight: Tensor, x: Tensor = X) -> str:
    def make(before: Node, x: Node, w: Node) -> Node:
        return insert_call(before, target, *((w, x) if left_is_weight else (x, w)))

    program = program_of(make, x, weights=[weight])
    result = optimize(program, [Canonicalize()])
    assert_close(result.run(x), program.run(x), 0)
    return body(result).splitlines()[0]


def test_constants_come_second() -> None:
    assert "aten.mul.Tensor(%0, @w)" in _binary(aten.mul.Tensor, True, torch.arange(4.0))
    assert "aten.sub.Tensor(@w, %0)" in _binary(aten.sub.Tensor, True, torch.arange(4.0))


def test_uniform_constants_are_numbers() -> None:
    assert "aten.mul.Tensor(%0, 2.0)" in _binary(aten.mul.Tensor, True, torch.full((4,), 2.0))
    assert "aten.mul.Tensor(%0, 0.25)" in _binary(aten.div.Tensor, False, torch.tensor(4.0))


@pytest.mark.parametrize(
    "weight",
    [torch.full((5, 2, 3, 4), 2.0), torch.full((4,), 2.0, dtype=torch.float64)],
    ids=["wider shape", "wider type"],
)
def test_uniform_constants_that_decide_the_result_stay(weight: Tensor) -> None:
    assert "@w" in _binary(aten.add.Tensor, False, weight)


def test_what_broadcasts_reads_the_source_of_an_expansion() -> None:
    def make(before: Node, x: Node, y: Node) -> Node:
        return insert_call(
            before, aten.add.Tensor, x, insert_call(before, aten.expand.default, y, [2, 3, 4])
        )

    result = optimize(program_of(make, X, torch.zeros(3, 1)), [Canonicalize()])
    assert body(result) == "%2 = aten.add.Tensor(%0, %1): f32[2,3,4]\nreturn %2"


def test_an_expansion_that_decides_the_shape_stays() -> None:
    got = _canonical((aten.expand.default, [5, 2, 3, 4]), (aten.exp.default,))
    assert "aten.expand" in got


@pytest.mark.parametrize(
    ("pad", "padding"),
    [
        ([1, 1, 2, 2], "[1,1], [3,1]"),
        ([2, 2], "[1,1], [1,2]"),
        ([0, 1, 0, 1], None),
        ([1, 1, 1, 1, 1, 1], None),
        ([1, 1, 1, 1, "reflect"], None),
        ([1, 1, 1, 1, "constant", 2.0], None),
    ],
)
def test_a_border_of_zeros_is_padding_of_the_convolution(
    pad: list[Any], padding: str | None
) -> None:
    channels = 4 if len(pad) == 6 and "constant" not in pad else 2

    def make(before: Node, x: Node, w: Node) -> Node:
        widths = [size for size in pad if isinstance(size, int)]
        border = insert_call(before, aten.pad.default, x, widths, *pad[len(widths) :])
        return insert_call(before, aten.conv2d.default, border, w, None, [1, 1], [1, 0])

    x = torch.randn(1, 2, 5, 5)
    program = program_of(make, x, weights=[torch.randn(2, channels, 3, 3)])
    result = optimize(program, [Canonicalize()])
    assert_close(result.run(x), program.run(x), 1e-6)  # PyTorch sums in another order
    assert ("aten.pad" in str(result)) is (padding is None)
    if padding is not None:
        assert f"aten.conv2d(%0, @w, none, {padding})" in str(result)


def _repeated(heads: int, repeats: int, key: Node, before: Node) -> Node:
    """[1, heads, 3, 2] repeated to [1, heads * repeats, 3, 2]."""
    apart = insert_call(before, aten.reshape.default, key, [1, heads, 1, 3, 2])
    wide = insert_call(before, aten.expand.default, apart, [1, heads, repeats, 3, 2])
    return insert_call(before, aten.reshape.default, wide, [1, heads * repeats, 3, 2])


def test_attention_repeats_keys_and_values_by_itself() -> None:
    def make(before: Node, query: Node, key: Node) -> Node:
        wide = _repeated(2, 3, key, before)
        return insert_call(
            before, aten.scaled_dot_product_attention.default, query, wide, wide, is_causal=True
        )

    inputs = torch.randn(1, 6, 3, 2), torch.randn(1, 2, 3, 2)
    program = program_of(make, *inputs)
    result = optimize(program, [Canonicalize()])
    assert_close(result.run(*inputs), program.run(*inputs), 1e-6)
    call, _ = body(result).splitlines()
    assert "attention(%0, %1, %1, none, 0.0, true, enable_gqa=true): f32[1,6,3,2]" in call


def test_attention_broadcasts_its_mask() -> None:
    def make(before: Node, x: Node, mask: Node) -> Node:
        wide = insert_call(before, aten.expand.default, mask, [1, 2, 3, 3])
        return insert_call(before, aten.scaled_dot_product_attention.default, x, x, x, wide)

    inputs = torch.randn(1, 2, 3, 2), torch.tensor([[[[True, False, True]]]])
    program = program_of(make, *inputs)
    result = optimize(program, [Canonicalize()])
    assert_close(result.run(*inputs), program.run(*inputs), 1e-6)
    assert "aten.expand" not in str(result)


@pytest.mark.parametrize(
    ("mask", "stays"),
    [
        (torch.ones(4, 4, dtype=torch.bool), False),
        (torch.zeros(4, 4), False),
        (torch.ones(4, 4).triu().bool(), True),
        (torch.ones(4, 4).tril().bool(), False),  # that is what causal attention masks
        (torch.full((4, 4), -torch.inf).triu(1), False),
        (torch.full((4, 4), -1.0).triu(1), True),
    ],
)
def test_a_mask_that_masks_nothing_is_dropped(mask: Tensor, stays: bool) -> None:
    def make(before: Node, x: Node, w: Node) -> Node:
        return insert_call(before, aten.scaled_dot_product_attention.default, x, x, x, w, scale=0.5)

    x = torch.randn(1, 4, 2)
    program = program_of(make, x, weights=[mask])
    result = optimize(program, [Canonicalize()])
    assert_close(result.run(x), program.run(x), 1e-6)  # attention without mask is another kernel
    assert ("@w" in str(result)) is stays
    assert "scale=0.5" in str(result)
