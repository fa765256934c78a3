"""Attention of many queries: blocks of rows, whose scores never leave the cache.

The scores of a block are kept transposed, keys outside and queries in the lanes of vectors. Then
maxima and sums need no step across lanes, the keys are read where they lie, one row after the
other, and so are the values. Both products run as register tiles:

    scores[s, l] = sum_e k[s, e] q[l, e]       k by lane or broadcast, q packed as [e, l]
    out[l, f] = sum_s scores[s, l] v[s, f]     scores by lane or broadcast
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from tvm import tirx

from ....targets.cpu.lane_tiles import STEPS, lane_tile
from ....targets.cpu.tiles import is_arm, product_tile
from ....targets.target import Target
from .attention_head import Head, Read, power, share
from .indices import Index
from .registers import allocated, in_steps, registers, scratch, sequence, unrolled, vector, vectors
from .statements import load, loop, store


class RowBlocks:
    """The statements of one head, a block of rows after the other."""

    def __init__(self, head: Head, target: Target) -> None:
        self.head, self.target = head, target
        self.lanes = target.lanes(64 if head.dtype == "float64" else 32)
        tile = product_tile(target, head.keys, head.rows, head.depth)
        self.panel = tile.columns * self.lanes // target.lanes(32)
        self.by_lane = is_arm(target)
        self.packed = scratch((head.depth, self.panel), head.dtype, "queries")
        self.scores = scratch((head.keys, self.panel), head.dtype, "scores")

    def statements(self) -> Any:
        """All rows of the head."""
        blocks = in_steps(self.head.rows, self.panel, self._block)
        return allocated([self.packed, self.scores], blocks)

    def _block(self, first: Index, rows: int) -> Any:
        block = _Block(self, first, rows)
        return allocated([block.top, block.sums], block.statements())


class _Block:
    """The statements of one block of rows."""

    def __init__(self, blocks: RowBlocks, first: Index, rows: int) -> None:
        self.head, self.target = blocks.head, blocks.target
        self.packed, self.scores = blocks.packed, blocks.scores
        self.lanes, self.by_lane = blocks.lanes, blocks.by_lane
        self.first, self.rows = first, rows
        self.width = -(-rows // self.lanes) * self.lanes
        self.steps = STEPS if self.by_lane else 2
        self.top = registers((self.width,), self.head.dtype, "top")
        self.sums = registers((self.width,), self.head.dtype, "sums")
        self.seen = self._seen()

    def _seen(self) -> Index:
        """How many keys any of the rows sees."""
        if not self.head.is_causal:
            return self.head.keys
        end = self.first + self.rows
        return min(end, self.head.keys) if isinstance(end, int) else tirx.min(end, self.head.keys)

    def statements(self) -> list[Any]:
        """Pack the queries; scores and their maxima; powers and their sums; the mean of values."""
        lowest, zero = tirx.min_value(self.head.dtype), tirx.const(0, self.head.dtype)
        return [
            *self._pack(),
            *self._each(lambda at: store(self.top, lowest, [at])),
            *self._each(lambda at: store(self.sums, zero, [at])),
            *self._tiles(),
            *in_steps(self.seen, 2, self._powers),
            *self._each(self._shares),
            *self._mean(),
        ]

    def _each(self, body: Callable[[Index], Any]) -> list[Any]:
        """A statement for each row of the block, as vectors."""
        return vectors(self.width, self.lanes, lambda start, lane: body(start + lane))

    def _pack(self) -> list[Any]:
        """packed[e, l] = q[first + l, e], zeros for the rows that the last vector lacks."""
        code = in_steps(self.head.depth, self.lanes, self._transpose)
        if self.rows == self.width:
            return code
        e = tirx.Var("e", "int32")
        zero = tirx.const(0, self.head.dtype)
        missing = self.width - self.rows
        clear = vector(missing, lambda lane: store(self.packed, zero, [e, self.rows + lane]))
        return [*code, loop(e, 0, self.head.depth, clear)]

    def _transpose(self, start: Index, depth: int) -> Any:
        """Some columns of the queries, as rows."""
        block = registers((self.rows, depth), self.head.dtype, "block")

        def read(row: Index) -> Any:
            return vector(
                depth,
                lambda e: store(block, self.head.query(self.first + row, start + e), [row, e]),
            )

        def write(e: Index) -> Any:
            def element(first: Index, lane: Index) -> Any:
                at = first + lane
                return store(self.packed, load(block, [at, e]), [start + e, at])

            return sequence(vectors(self.rows, self.lanes, element))

        return allocated([block], [unrolled(self.rows, read), unrolled(depth, write)])

    def _tiles(self) -> list[Any]:
        """The scores of all keys that the rows see, as register tiles."""
        panel = self.width * self.target.lanes(32) // self.lanes
        tile = product_tile(self.target, self.head.keys, panel, self.head.depth, panel=panel).rows
        whole, rest = divmod(self.head.keys, tile)
        count = whole
        if not isinstance(self.seen, int):
            count = tirx.min(tirx.floordiv(self.seen + (tile - 1), tile), whole)
        index = tirx.Var("tile", "int32")
        code = [loop(index, 0, count, self._tile(index * tile, tile))] if whole else []
        if rest:
            last = self._tile(whole * tile, rest)
            is_seen = self.seen > whole * tile
            if is_seen is True:
                code.append(last)
            elif is_seen is not False:
                code.append(tirx.IfThenElse(is_seen, last, None))
        return code

    def _tile(self, first: Index, keys: int) -> Any:
        """scores[first + i, l] for some keys."""
        tile = registers((keys, self.width), self.head.dtype, "tile")
        each = partial(self._tile_vectors, keys)

        def begin(i: Index, at: Index) -> Any:
            return store(tile, self.head.start(first + i), [i, at])

        def keep(i: Index, at: Index) -> Any:
            value = load(tile, [i, at])
            return store(self.scores, value, [first + i, at])

        def mask(i: Index, at: Index) -> Any:
            row = self.first + (at if self.rows == self.width else tirx.min(at, self.rows - 1))
            assert self.head.masked is not None
            return store(tile, self.head.masked(load(tile, [i, at]), row, first + i), [i, at])

        def highest(i: Index, at: Index) -> Any:
            return store(self.top, tirx.max(load(self.top, [at]), load(tile, [i, at])), [at])

        sums = in_steps(self.head.depth, self.steps, partial(self._multiply, tile, first, keys))
        masks = [] if self.head.masked is None else [each(mask)]
        return allocated([tile], [each(begin), *sums, *masks, each(keep), each(highest)])

    def _tile_vectors(self, count: int, body: Callable[[Index, Index], Any]) -> Any:
        return unrolled(count, lambda i: sequence(self._each(partial(body, i))))

    def _multiply(self, tile: Any, first: Index, keys: int, start: Index, depth: int) -> Any:
        """Add the products of some columns of queries and keys to a tile of scores."""

        def add(e: Index, read: Read, i: Index, at: Index) -> Any:
            product = read(i, e) * load(self.packed, [start + e, at])
            return store(tile, load(tile, [i, at]) + product, [i, at])

        def key(i: Index, e: Index) -> Any:
            return self.head.key(first + i, start + e)

        def by_lane(e: Index, count: int) -> Any:
            cache = registers((keys, count), self.head.dtype, "keys")

            def read(i: Index) -> Any:
                return vector(count, lambda k: store(cache, key(i, e + k), [i, k]))

            def one(k: Index) -> Any:
                each = partial(add, e + k, lambda i, _: load(cache, [i, k]))
                return self._tile_vectors(keys, each)

            return allocated([cache], [unrolled(keys, read), unrolled(count, one)])

        if self.by_lane:
            return sequence(in_steps(depth, self.lanes, by_lane, straight=True))
        return unrolled(depth, lambda e: self._tile_vectors(keys, partial(add, e, key)))

    def _powers(self, first: Index, keys: int) -> Any:
        """Scores to powers of two, at most 1 in each row, and their sums."""
        raised = registers((self.width,), self.head.dtype, "power")

        def raise_(s: Index, at: Index) -> Any:
            exponent = load(self.scores, [s, at]) - load(self.top, [at])
            return store(raised, power(self.head, exponent), [at])

        def keep(s: Index, at: Index) -> Any:
            return store(self.scores, load(raised, [at]), [s, at])

        def add(at: Index) -> Any:
            return store(self.sums, load(self.sums, [at]) + load(raised, [at]), [at])

        def each(i: Index) -> Any:
            s = first + i
            steps = (partial(raise_, s), partial(keep, s), add)
            return sequence([part for step in steps for part in self._each(step)])

        return allocated([raised], [unrolled(keys, each)])

    def _shares(self, at: Index) -> Any:
        return store(self.sums, share(load(self.sums, [at])), [at])

    def _mean(self) -> list[Any]:
        """out[first + l, f] = sum_s share[l] scores[s, l] v[s, f]."""
        find = lane_tile if self.by_lane else product_tile
        tile = find(self.target, self.rows, self.head.width, self.head.keys)
        columns = tile.columns * self.lanes // self.target.lanes(32)
        tiles = [(row, min(tile.rows, self.rows - row)) for row in range(0, self.rows, tile.rows)]

        def panel(start: Index, width: int) -> Any:
            return sequence([self._mean_tile(row, rows, start, width) for row, rows in tiles])

        return in_steps(self.head.width, columns, panel)

    def _mean_tile(self, row: int, rows: int, start: Index, width: int) -> Any:
        tile = registers((rows, width), self.head.dtype, "tile")
        zero = tirx.const(0, self.head.dtype)

        def each(body: Callable[[Index, Index], Any]) -> Any:
            def columns(i: Index) -> Any:
                return sequence(
                    vectors(width, self.lanes, lambda first, lane: body(i, first + lane))
                )

            return unrolled(rows, columns)

        def add(first: Index, keys: int) -> Any:
            def one(k: Index) -> Any:
                weights = registers((rows,), self.head.dtype, "weights")

                def read(start: Index, lane: Index) -> Any:
                    at = start + lane
                    return store(weights, load(self.scores, [first + k, row + at]), [at])

                def multiply(i: Index, f: Index) -> Any:
                    weight = (
                        load(weights, [i])
                        if self.by_lane
                        else load(self.scores, [first + k, row + i])
                    )
                    product = weight * self.head.value(first + k, start + f)
                    return store(tile, load(tile, [i, f]) + product, [i, f])

                reads = vectors(rows, self.lanes, read) if self.by_lane else []
                return allocated([weights] if reads else [], [*reads, each(multiply)])

            return unrolled(keys, one)

        def finish(i: Index, f: Index) -> Any:
            value = load(tile, [i, f]) * load(self.sums, [row + i])
            return self.head.write(self.first + row + i, start + f, value)

        sums = in_steps(self.seen, self.steps, add)
        clear = each(lambda i, f: store(tile, zero, [i, f]))
        return allocated([tile], [clear, *sums, each(finish)])
