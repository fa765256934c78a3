"""Attention of a few queries, as when a model generates text: products of a row and a matrix.

Nothing is packed: keys and values are read once, where they lie. A score is the sum over the lanes
of one vector, several keys side by side; the mean of the values is a sum of rows.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from tvm import tirx
from tvm.target.codegen import llvm_lookup_intrinsic_id

from ....targets.cpu.tiles import is_arm
from ....targets.target import Target
from .attention_head import Head, power, share
from .indices import Index
from .registers import (
    allocated,
    in_steps,
    registers,
    scratch,
    sequence,
    unrolled,
    vector,
    vectors,
)
from .statements import load, loop, store

# Keys whose scores are summed side by side. On ARM only so many rows of 64 floats are within the
# reach of LDP from one pointer (DDI 0487, C6.2), which loads two vectors at once.
KEYS, KEYS_ARM = 8, 4
CHAINS = 8  # sums of values in flight, at least


def suits(head: Head, target: Target) -> bool:
    """Whether so few queries that a register tile of them would be mostly empty."""
    lanes = _lanes(head, target)
    return head.rows * 2 <= lanes and head.depth >= lanes and head.width >= lanes


def _lanes(head: Head, target: Target) -> int:
    return target.lanes(64 if head.dtype == "float64" else 32)


class Steps:
    """The statements of one head, a query after the other."""

    def __init__(self, head: Head, target: Target) -> None:
        self.head, self.target = head, target
        self.lanes = _lanes(head, target)
        self.together = KEYS_ARM if is_arm(target) else KEYS
        self.has_pair_sums = target.triple.startswith("aarch64") and head.dtype == "float32"
        self.query = scratch((head.depth,), head.dtype, "query")
        self.scores = scratch((head.keys,), head.dtype, "scores")
        self.top = registers((self.lanes,), head.dtype, "top")
        self.sums = registers((self.lanes,), head.dtype, "sums")
        self.value = registers((self.lanes,), head.dtype, "value")
        self.last = registers((1,), head.dtype, "last")  # the maximum, then the share

    def statements(self) -> Any:
        """All queries of the head."""
        row = tirx.Var("row", "int32")
        code = [*self._scores(row), *self._powers(row), *self._mean(row)]
        own = [self.query, self.scores, self.top, self.sums, self.value, self.last]
        body = allocated(own, code)
        return loop(row, 0, self.head.rows, body)

    def _scores(self, row: Index) -> list[Any]:
        def keep(first: Index, lane: Index) -> Any:
            at = first + lane
            return store(self.query, self.head.query(row, at), [at])

        return [
            *vectors(self.head.depth, self.lanes, keep),
            *in_steps(self.head.keys, self.together, self._products),
        ]

    def _products(self, first: Index, keys: int) -> Any:
        """The scores of some keys, before masks."""
        sums = registers((keys, self.lanes), self.head.dtype, "products")
        whole = self.head.depth // self.lanes

        def clear(i: Index) -> Any:
            zero = tirx.const(0, self.head.dtype)
            return vector(self.lanes, lambda lane: store(sums, zero, [i, lane]))

        def add(start: Index, count: int) -> Any:
            def one(step: Index, i: Index) -> Any:
                def element(lane: Index) -> Any:
                    e = (start + step) * self.lanes + lane
                    product = load(self.query, [e]) * self.head.key(first + i, e)
                    return store(sums, load(sums, [i, lane]) + product, [i, lane])

                return vector(self.lanes, element)

            # A key after the other: neighboring loads become one of a pair.
            return unrolled(keys, lambda i: unrolled(count, lambda step: one(step, i)))

        return allocated(
            [sums],
            [
                unrolled(keys, clear),
                *in_steps(whole, 4, add),
                *self._lane_sums(sums, first, keys),
                *self._rest(whole * self.lanes, first, keys),
            ],
        )

    def _lane_sums(self, sums: Any, first: Index, keys: int) -> list[Any]:
        """scores[first + i] = the sum of sums[i]."""
        pairs = keys // 4 * 4 if self.has_pair_sums else 0
        code = [_pair_sums(sums, i, self.scores, first + i) for i in range(0, pairs, 4)]
        for i in range(pairs, keys):
            parts: list[Any] = []
            width, wider = self.lanes, partial(load, sums)
            while width > 1:
                width //= 2
                half = registers((1, width), self.head.dtype, "half")
                add = partial(_add_halves, wider, i if not parts else 0, width, half)
                parts += [tirx.AllocBuffer(half), vector(width, add)]
                wider = partial(load, half)
            total = wider([0 if parts else i, 0])
            code.append(sequence([*parts, store(self.scores, total, [first + i])]))
        return code

    def _rest(self, start: int, first: Index, keys: int) -> list[Any]:
        """Add the products of the columns that fill no vector."""
        if start == self.head.depth:
            return []
        i, e = tirx.Var("i", "int32"), tirx.Var("e", "int32")
        product = load(self.query, [start + e]) * self.head.key(first + i, start + e)
        total = load(self.scores, [first + i]) + product
        add = store(self.scores, total, [first + i])
        return [loop(i, 0, keys, loop(e, 0, self.head.depth - start, add))]

    def _powers(self, row: Index) -> list[Any]:
        """Scores to powers, and what each counts."""
        head, value = self.head, self.value
        zero, lowest = tirx.const(0, head.dtype), tirx.min_value(head.dtype)

        def mask(start: Index, lane: Index) -> Any:
            s = start + lane
            score = load(self.scores, [s]) + head.start(s)
            return store(
                value, score if head.masked is None else head.masked(score, row, s), [lane]
            )

        def raise_(start: Index, lane: Index) -> Any:
            exponent = load(self.scores, [start + lane]) - load(self.last, [0])
            return store(value, power(head, exponent), [lane])

        def keep(start: Index, lane: Index) -> Any:
            return store(self.scores, load(value, [lane]), [start + lane])

        def highest(start: Index, lane: Index) -> Any:
            return store(self.top, tirx.max(load(self.top, [lane]), load(value, [lane])), [lane])

        def add(start: Index, lane: Index) -> Any:
            return store(self.sums, load(self.sums, [lane]) + load(value, [lane]), [lane])

        def over_keys(*bodies: Callable[[Index, Index], Any]) -> list[Any]:
            def some(start: Index, count: int) -> Any:
                return sequence([vector(count, partial(body, start)) for body in bodies])

            return in_steps(head.keys, self.lanes, some)

        def every(lane: Index) -> Any:
            return sequence([store(self.top, lowest, [lane])])

        return [
            vector(self.lanes, every),
            vector(self.lanes, lambda lane: store(self.sums, zero, [lane])),
            *over_keys(mask, keep, highest),
            self._combine(self.top, tirx.max),
            *over_keys(raise_, keep, add),
            self._combine(self.sums, lambda a, b: a + b),
            store(self.last, share(load(self.last, [0])), [0]),
        ]

    def _combine(self, lanes: Any, pair: Callable[[Any, Any], Any]) -> Any:
        """last = all lanes combined."""
        first = store(self.last, load(lanes, [0]), [0])
        rest = [
            store(self.last, pair(load(self.last, [0]), load(lanes, [lane])), [0])
            for lane in range(1, self.lanes)
        ]
        return sequence([first, *rest])

    def _mean(self, row: Index) -> list[Any]:
        """out[row, f] = share * sum_s scores[s] v[s, f]."""
        most = min(16, self.target.simd_registers // 2) * self.lanes
        return in_steps(self.head.width, most, partial(self._columns, row))

    def _columns(self, row: Index, start: Index, width: int) -> Any:
        chains = max(1, CHAINS // -(-width // self.lanes))
        group = self.lanes if is_arm(self.target) else max(4, chains)
        sums = registers((chains, width), self.head.dtype, "sums")
        zero = tirx.const(0, self.head.dtype)

        def columns(body: Callable[[Index], Any]) -> Any:
            return sequence(vectors(width, self.lanes, lambda first, lane: body(first + lane)))

        def clear(chain: Index) -> Any:
            return columns(lambda f: store(sums, zero, [chain, f]))

        def some(first: Index, keys: int) -> Any:
            weights = registers((keys,), self.head.dtype, "weights")

            def add(k: int, f: Index) -> Any:
                product = load(weights, [k]) * self.head.value(first + k, start + f)
                place = [k % chains, f]
                return store(sums, load(sums, place) + product, place)

            def read(k: Index) -> Any:
                return store(weights, load(self.scores, [first + k]), [k])

            reads = vectors(keys, self.lanes, lambda at, lane: read(at + lane))
            adds = [columns(partial(add, k)) for k in range(keys)]
            return allocated([weights], [*reads, *adds])

        def finish(f: Index) -> Any:
            total = sum((load(sums, [c, f]) for c in range(1, chains)), load(sums, [0, f]))
            return self.head.write(row, start + f, total * load(self.last, [0]))

        code = [unrolled(chains, clear), *in_steps(self.head.keys, group, some), columns(finish)]
        return allocated([sums], code)


def _add_halves(
    wider: Callable[[list[Index]], Any], row: int, width: int, half: Any, lane: Index
) -> Any:
    return store(half, wider([row, lane]) + wider([row, width + lane]), [0, lane])


def _pair_sums(sums: Any, row: int, target: Any, place: Index) -> Any:
    """target[place + i] = sum of the four lanes of sums[row + i], for four rows."""
    lanes = tirx.Ramp(0, 1, 4)
    rows = [tirx.BufferLoad(sums, [row + i, lanes]) for i in range(4)]
    number = tirx.const(llvm_lookup_intrinsic_id("llvm.aarch64.neon.faddp"), "uint32")

    def add(left: Any, right: Any) -> Any:
        return tirx.call_llvm_pure_intrin("float32x4", number, left, right)

    total = add(add(rows[0], rows[1]), add(rows[2], rows[3]))
    return tirx.BufferStore(target, total, [tirx.Ramp(place, 1, 4)])
