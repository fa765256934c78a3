"""Random programs: every kind of operator that passes rewrite or fuse, wired at random."""

from collections.abc import Callable
from random import Random

import torch
from torch.fx import Node

from penjing.compiler.ir.program import Program, node_spec
from penjing.compiler.ir.rewrite import insert_call, shape_of
from tests.support import program_of

aten = torch.ops.aten
SHAPE = (2, 3, 4)
Step = Callable[[Random, Node, list[Node]], Node]

_UNARY = [aten.tanh, aten.sin, aten.relu, aten.neg, aten.abs, aten.sigmoid, aten.square, aten.clone]
_BINARY = [aten.add.Tensor, aten.mul.Tensor, aten.sub.Tensor, aten.maximum.default]
_SCALAR = [
    aten.add.Scalar,
    aten.mul.Scalar,
    aten.div.Scalar,
    aten.rsub.Scalar,
    aten.clamp_max.default,
]


def random_program(rng: Random, size: int) -> tuple[Program, torch.Tensor]:
    """A program of `size` random calls in float64, and an input for it.

    It returns the value of one call, and everything that no other call reads.
    """
    generator = torch.Generator().manual_seed(rng.getrandbits(32))
    weights = [_random(generator, *shape) for shape in ((4, 4), (4,), (3, 1), (4, 5))]
    weights.append(torch.ones(1, dtype=torch.float64))

    def make(before: Node, *values: Node) -> tuple[Node, ...]:
        pool = list(values)
        for _ in range(size):
            pool.append(rng.choice(_STEPS)(rng, before, pool))
        calls = list(dict.fromkeys(pool[len(values) :]))
        unread = [node for node in calls if not node.users]
        flat = [insert_call(before, aten.reshape.default, node, [-1]) for node in unread]
        return rng.choice(calls), insert_call(before, aten.cat.default, flat)

    x = _random(generator, *SHAPE)
    return program_of(make, x, weights=weights, outputs=2), x


def _random(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def _any(rng: Random, pool: list[Node], least_rank: int = 0) -> Node:
    """A value of the pool: often a recent one, seldom a weight."""
    fit = [node for node in pool if len(shape_of(node)) >= least_rank]
    varying = [node for node in fit if node.op != "get_attr"]
    chance = rng.random()
    return rng.choice(varying[-4:] if chance < 0.7 else varying if chance < 0.97 else fit)


def _unary(rng: Random, before: Node, pool: list[Node]) -> Node:
    return insert_call(before, rng.choice(_UNARY).default, _any(rng, pool))


def _scalar(rng: Random, before: Node, pool: list[Node]) -> Node:
    number = rng.choice([0, 1, 2.0, -0.5, 3])
    op = rng.choice(_SCALAR)
    return insert_call(
        before, op, _any(rng, pool), number or 1 if op is aten.div.Scalar else number
    )


def _binary(rng: Random, before: Node, pool: list[Node]) -> Node:
    """Of operands that broadcast, or of one with itself."""
    left = _any(rng, pool)
    fit = [node for node in pool[-30:] if _broadcasts(shape_of(left), shape_of(node))]
    return insert_call(
        before, rng.choice(_BINARY), *rng.sample([left, rng.choice(fit or [left])], 2)
    )


def _broadcasts(left: tuple[int, ...], right: tuple[int, ...]) -> bool:
    pairs = zip(reversed(left), reversed(right), strict=False)
    return all(a == b or 1 in (a, b) for a, b in pairs)


def _permute(rng: Random, before: Node, pool: list[Node]) -> Node:
    x = _any(rng, pool)
    rank = len(shape_of(x))
    return insert_call(before, aten.permute.default, x, rng.sample(range(rank), rank))


def _reshape(rng: Random, before: Node, pool: list[Node]) -> Node:
    x = _any(rng, pool)
    shape = list(shape_of(x))
    forms = [[-1], [1, *shape], [*shape, 1], [*shape[:-2], -1] if len(shape) > 1 else shape]
    return insert_call(before, aten.reshape.default, x, rng.choice(forms))


def _expand(rng: Random, before: Node, pool: list[Node]) -> Node:
    x = _any(rng, pool)
    if node_spec(x).size > 60:
        return x
    return insert_call(before, aten.expand.default, x, [rng.choice([1, 2]), *shape_of(x)])


def _slice(rng: Random, before: Node, pool: list[Node]) -> Node:
    x = _any(rng, pool, 1)
    dim = rng.randrange(len(shape_of(x)))
    start = rng.randrange(-2, shape_of(x)[dim])
    step = rng.choice([1, 1, 2])
    return insert_call(before, aten.slice.Tensor, x, dim, start, None, step)


def _select(rng: Random, before: Node, pool: list[Node]) -> Node:
    x = _any(rng, pool, 1)
    dim = rng.randrange(len(shape_of(x)))
    return insert_call(before, aten.select.int, x, dim, rng.randrange(shape_of(x)[dim]))


def _join(rng: Random, before: Node, pool: list[Node]) -> Node:
    x = _any(rng, pool, 1)
    same = [node for node in pool if shape_of(node) == shape_of(x)]
    return insert_call(before, aten.cat.default, [x, *rng.choices(same, k=rng.randrange(3))], -1)


def _reduce(rng: Random, before: Node, pool: list[Node]) -> Node:
    x = _any(rng, pool, 1)
    op = rng.choice([aten.sum.dim_IntList, aten.mean.dim, aten.amax.default])
    axis = rng.randrange(-len(shape_of(x)), len(shape_of(x)))
    return insert_call(before, op, x, [axis], rng.random() < 0.7)


def _softmax(rng: Random, before: Node, pool: list[Node]) -> Node:
    return insert_call(before, aten.softmax.int, _any(rng, pool, 1), -1)


def _product(rng: Random, before: Node, pool: list[Node]) -> Node:
    """With a weight where one fits: a layer, or a product that can become one."""
    x = _any(rng, pool, 1)
    fit = [n for n in pool if n.op == "get_attr" and shape_of(n)[:1] == shape_of(x)[-1:]]
    matrices = [node for node in fit if len(shape_of(node)) == 2]
    if not matrices or x.op == "get_attr":
        return _softmax(rng, before, pool)
    return insert_call(before, aten.matmul.default, x, rng.choice(matrices))


def _cast(rng: Random, before: Node, pool: list[Node]) -> Node:
    same = insert_call(before, aten.to.dtype, _any(rng, pool), torch.float64)
    return insert_call(before, aten.contiguous.default, same)


_STEPS: list[Step] = [
    _unary,
    _unary,
    _unary,
    _scalar,
    _binary,
    _binary,
    _binary,
    _permute,
    _reshape,
    _expand,
    _slice,
    _select,
    _join,
    _reduce,
    _softmax,
    _product,
    _cast,
]
