"""Several moves in one kernel: their indices meet in one expression, which must stay right."""

import random
from math import prod
from typing import Any

import pytest
import torch
from torch._ops import OpOverload
from tvm import te

from penjing.compiler.ir.tensor_spec import TensorSpec
from penjing.compiler.lowering.builder import KernelBuilder
from penjing.compiler.lowering.registry import RULES

from .harness import TARGET, execute
from .strategies import numbered

aten = torch.ops.aten
Step = tuple[OpOverload, Any]  # an op and its arguments after the tensor; None = cat with itself


def check_chain(shape: tuple[int, ...], *steps: Step) -> None:
    """Compile all steps as one kernel and compare with torch."""
    x = numbered(shape)
    holder = te.placeholder(shape, "float32", name="x")
    value, tensor = x, holder
    extras: dict[str, Any] = {"kernel": KernelBuilder(TARGET, {})}
    for op, arguments in steps:
        joins = op is aten.cat.default
        value = op([value, value] if joins else value, *arguments).contiguous()
        extras["out"] = TensorSpec.of(value)
        entry = RULES[op]
        wants = {name: extras[name] for name in entry.wants}
        tensor = entry.rule([tensor, tensor] if joins else tensor, *arguments, **wants)
    function = te.create_prim_func([holder, tensor])
    (result,) = execute(function, [x], [TensorSpec.of(value)])
    assert torch.equal(result, value), steps


@pytest.mark.parametrize(
    ("shape", "steps"),
    [
        (
            (3, 6, 3),
            [
                (aten.repeat.default, ([1, 2, 2],)),
                (aten.permute.default, ([0, 2, 1],)),
                (aten.flip.default, ([1],)),
            ],
        ),
        ((6, 7, 4), [(aten.repeat_interleave.self_int, (2, 0)), (aten.flip.default, ([0],))]),
        (
            (7, 3, 4, 2),
            [
                (aten.cat.default, (2,)),
                (aten.cat.default, (0,)),
                (aten.reshape.default, ([16, 42],)),
                (aten.constant_pad_nd.default, ([2, 0, 1, 1],)),
            ],
        ),
        (
            (5, 7, 16),
            [
                (aten.slice.Tensor, (0, 1, 5)),
                (aten.roll.default, ([3, 3], [0, 1])),
                (aten.flip.default, ([1],)),
            ],
        ),
    ],
)
def test_indices_that_tvm_once_rewrote_wrongly(shape: tuple[int, ...], steps: list[Step]) -> None:
    check_chain(shape, *steps)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool])
def test_functions_become_integers(dtype: torch.dtype) -> None:
    check_chain((3, 3), (aten.neg.default, ()), (aten.exp.default, ()), (aten.to.dtype, (dtype,)))
    check_chain((2, 3), (aten.exp.default, ()), (aten.to.dtype, (dtype,)))


@pytest.mark.parametrize("seed", range(12))
def test_random_chains(seed: int) -> None:
    rng = random.Random(seed)
    shape = tuple(rng.choice([2, 3, 4, 5, 7, 8]) for _ in range(rng.randint(2, 4)))
    steps: list[Step] = []
    sizes = shape
    while len(steps) < 4:
        op, arguments = _random_step(rng, sizes)
        example = torch.empty(sizes)
        joins = op is aten.cat.default
        result = op([example, example] if joins else example, *arguments).shape
        if 0 < prod(result) < 20000 and len(result) < 6:
            steps.append((op, arguments))
            sizes = tuple(result)
    check_chain(shape, *steps)


def _random_step(rng: random.Random, sizes: tuple[int, ...]) -> Step:
    rank = len(sizes)
    axis = rng.randrange(rank)
    start = rng.randrange(sizes[axis])
    steps: list[Step] = [
        (aten.reshape.default, (_regrouped(rng, prod(sizes)),)),
        (aten.permute.default, (rng.sample(range(rank), rank),)),
        (aten.slice.Tensor, (axis, start, rng.randint(start + 1, sizes[axis]), rng.randint(1, 3))),
        (aten.select.int, (axis, start)),
        (aten.roll.default, ([rng.randint(-9, 9) for _ in sizes], list(range(rank)))),
        (aten.flip.default, ([axis],)),
        (aten.constant_pad_nd.default, ([rng.randint(0, 2) for _ in range(2 * min(rank, 2))],)),
        (aten.cat.default, (axis,)),
        (aten.repeat.default, ([rng.randint(1, 2) for _ in sizes],)),
        (aten.repeat_interleave.self_int, (2, axis)),
        (aten.expand.default, ([2, *sizes],)),
    ]
    return rng.choice(steps if rank > 1 else [s for s in steps if s[0] is not aten.select.int])


def _regrouped(rng: random.Random, count: int) -> list[int]:
    """Three sizes with this product."""
    first = rng.choice(_divisors(count))
    second = rng.choice(_divisors(count // first))
    return [first, second, count // first // second]


def _divisors(count: int) -> list[int]:
    return [size for size in range(1, count + 1) if count % size == 0]
