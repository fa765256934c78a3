"""Operations on words of small integers: every bit as the CPU's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tvm
from tvm import tirx

from penjing.compiler.lowering.rules.integer_words import in_pairs
from penjing.targets.cpu import integer_ops
from penjing.targets.opencl.types import CannotPrint
from penjing.targets.opencl.words import Kind
from tests.opencl.device import Array
from tests.opencl.kernels import at, buffer, printed, run, to

ITEM = tirx.Var("i", "int32")
SIZE = 32
LANES = pytest.mark.parametrize("lanes", [1, 4])


def _for_each(lanes: int, body: Callable[[Any], Any]) -> Any:
    """A body over places, vectorized as in a kernel."""
    if lanes == 1:
        return body(ITEM)
    lane = tirx.Var("lane", "int32")
    loop = tirx.For(lane, 0, lanes, tirx.ForKind.VECTORIZED, body(ITEM * lanes + lane))
    func = tirx.PrimFunc([], loop).with_attr("global_symbol", "main")
    vectors = tirx.transform.VectorizeLoop(True)(tvm.IRModule({"main": func}))
    return tirx.transform.StmtSimplify()(vectors)["main"].body


def _words(seed: int) -> Array:
    """Words with all kinds of bits, the extremes of bytes among them."""
    random = np.random.default_rng(seed)
    words = random.integers(-(2**31), 2**31, SIZE, "int32")
    words[:4] = [-1, 0, 0x7F7F7F7F, -0x7F7F7F80]
    return words


def _apply(
    value: Callable[[Any], Any], read: list[Any], lanes: int, *arrays: Array, **options: Any
) -> Array:
    """The values of a formula for every place."""
    result = buffer("result", SIZE, str(value(ITEM).ty.dtype))
    body = _for_each(lanes, lambda place: to(result, place, value(place)))
    return run(body, read, [result], [(ITEM, 0, SIZE // lanes)], *arrays, **options)[0]


@LANES
@pytest.mark.parametrize("kind", [Kind.BYTES, Kind.UNSIGNED])
def test_dots_of_bytes(kind: Kind, lanes: int) -> None:
    x, y = buffer("x", SIZE, "int32"), buffer("y", SIZE, "int32")
    weights, inputs = _words(0), _words(1)
    result = _apply(
        lambda i: at(x, i) + integer_ops.dot(at(x, i), at(y, i)),
        *([x, y], lanes, weights, inputs),
        words=kind,
    )
    given = inputs.view("int8" if kind is Kind.BYTES else "uint8").reshape(SIZE, 4)
    products = weights.view("int8").reshape(SIZE, 4).astype("int32") * given.astype("int32")
    np.testing.assert_array_equal(result, weights + products.sum(1, dtype="int32"))


@pytest.mark.parametrize("lanes", [4, 8])
def test_dots_of_weights_in_pairs(lanes: int) -> None:
    x, y = buffer("x", SIZE, "int32"), buffer("y", SIZE, "int32")
    weights, inputs = _words(0), _words(1)
    result = _apply(
        lambda i: integer_ops.dot(at(x, i), at(y, i)),
        *([x, y], lanes, in_pairs(weights.reshape(-1, 4)).ravel(), inputs),
        words=Kind.PAIRS,
    )
    products = weights.view("int8").astype("int32") * inputs.view("int8").astype("int32")
    np.testing.assert_array_equal(result, products.reshape(SIZE, 4).sum(1, dtype="int32"))


def test_parts_of_weights_in_pairs_are_refused() -> None:
    x, y = buffer("x", SIZE, "int32"), buffer("y", SIZE, "int32")
    with pytest.raises(CannotPrint, match="pairs"):
        printed(to(y, 0, integer_ops.dot(at(x, 0), at(x, 1))), [x], [y], words=Kind.PAIRS)


@LANES
def test_dots_of_pairs(lanes: int) -> None:
    x, y = buffer("x", SIZE, "int16"), buffer("y", SIZE, "int32")
    stored = _words(2).view("int16")[:SIZE]
    inputs = (_words(3).view("int16") // 4).view("int32")
    result = _apply(
        lambda i: integer_ops.dot(at(x, i).astype("int32"), at(y, i)),
        *([x, y], lanes, stored, inputs),
        words=Kind.HALVES,
    )
    pairs = inputs.view("int16").reshape(SIZE, 2).astype("int32")
    weights = stored.view("int8").reshape(SIZE, 2).astype("int32")
    np.testing.assert_array_equal(result, (weights * pairs).sum(1, dtype="int32"))


@LANES
def test_dots_of_halves(lanes: int) -> None:
    x = buffer("x", SIZE, "int32")
    inputs = (_words(3).view("int16") // 4).view("int32")
    result = _apply(lambda i: integer_ops.dot_halves(at(x, i), at(x, i)), [x], lanes, inputs)
    pairs = inputs.view("int16").reshape(SIZE, 2).astype("int32")
    np.testing.assert_array_equal(result, (pairs * pairs).sum(1, dtype="int32"))


@LANES
def test_products_in_64_bits(lanes: int) -> None:
    x, y = buffer("x", SIZE, "int32"), buffer("y", SIZE, "int32")
    a, b = _words(4), _words(5)
    a[4:8] = [-(2**31), 2**31 - 1, 2**31 - 1, 1]
    b[4:8] = [2**31 - 1, 2**31 - 1, -(2**31), 2**30]
    expected = (a.astype("int64") * b.astype("int64") + 2**30 >> 31).astype("int32")
    result = _apply(lambda i: integer_ops.multiply_high(at(x, i), at(y, i)), [x, y], lanes, a, b)
    np.testing.assert_array_equal(result, expected)


@LANES
def test_narrowing(lanes: int) -> None:
    x = buffer("x", SIZE, "int32")
    values = _words(6) >> np.arange(SIZE, dtype="int32")
    result = _apply(
        lambda i: integer_ops.narrow(at(x, i), -100, 120, shift=3, zero_point=-7),
        *([x], lanes, values),
    )
    np.testing.assert_array_equal(result, np.clip((values >> 3) - 7, -100, 120).astype("int8"))


@LANES
def test_requantization_rounds_halves_once(lanes: int) -> None:
    x, y = buffer("x", SIZE, "int32"), buffer("y", SIZE, "int32")
    a = _words(7) >> 12
    b = np.full(SIZE, 2**24 + 12345, "int32")
    result = _apply(
        lambda i: integer_ops.requantize_by_halves(at(x, i), at(y, i), 5, -128, 127),
        *([x, y], lanes, a, b),
    )
    halves = a.astype("int64") * b.astype("int64") >> 32
    expected = np.clip((halves + 1 >> 1) + 5, -128, 127).astype("int8")
    np.testing.assert_array_equal(result, expected)


@LANES
def test_weighing(lanes: int) -> None:
    x, y = buffer("x", SIZE, "int8"), buffer("y", SIZE, "int8")
    a, b = _words(8).view("int8")[:SIZE], _words(9).view("int8")[:SIZE]
    result = _apply(
        lambda i: integer_ops.weigh((at(x, i), at(y, i)), (9000, -7000), 1 << 13, 14, -128, 100),
        *([x, y], lanes, a, b),
    )
    sums = a.astype("int32") * 9000 - b.astype("int32") * 7000 + (1 << 13)
    np.testing.assert_array_equal(result, np.clip(sums >> 14, -128, 100).astype("int8"))


@LANES
@pytest.mark.parametrize("count", [2, 4])
def test_words_of_neighbors_are_one_load(count: int, lanes: int) -> None:
    dtype = {2: "int16", 4: "int8"}[count]
    x, y = buffer("x", SIZE * count, dtype), buffer("y", SIZE, "int32")

    def word(i: Any) -> Any:
        return integer_ops.word(*(at(x, i * count + k) for k in range(count)))

    body = _for_each(lanes, lambda i: to(y, i, word(i)))
    text = printed(body, [x], [y], [(ITEM, 0, SIZE // lanes)])
    assert f"vload{count * lanes}(" in text.text and not text.helpers
    words = _words(10)
    np.testing.assert_array_equal(_apply(word, [x], lanes, words.view(dtype)), words)


@LANES
@pytest.mark.parametrize("count", [2, 4])
def test_words_of_strangers_are_joined(count: int, lanes: int) -> None:
    dtype = {2: "int16", 4: "int8"}[count]
    x = buffer("x", SIZE * count, dtype)
    words = _words(11)
    given = np.ascontiguousarray(words.view(dtype).reshape(SIZE, count).T).ravel()
    result = _apply(
        lambda i: integer_ops.word(*(at(x, i + k * SIZE) for k in range(count))), [x], lanes, given
    )
    np.testing.assert_array_equal(result, words)


@LANES
def test_groups_of_four_bits(lanes: int) -> None:
    start, packed, first, second = (
        buffer(name, SIZE, "int32") for name in ("start", "packed", "first", "second")
    )
    arrays = [_words(seed) for seed in range(12, 16)]
    arrays[0] >>= 8
    result = _apply(
        lambda i: integer_ops.dot_groups(
            at(start, i), [at(packed, i)], [at(first, i), at(second, i)]
        ),
        *([start, packed, first, second], lanes),
        *arrays,
    )
    stored = arrays[1].view("uint8").reshape(SIZE, 4).astype("int32")
    inputs = [array.view("int8").reshape(SIZE, 4).astype("int32") for array in arrays[2:]]
    products = (stored & 15) * inputs[0] + (stored >> 4) * inputs[1]
    np.testing.assert_array_equal(result, arrays[0] + products.sum(1, dtype="int32"))


def test_groups_of_four_bits_in_pairs() -> None:
    start, packed = buffer("start", SIZE, "int32"), buffer("packed", SIZE, "int32")
    first, second = buffer("first", 4, "int32"), buffer("second", 4, "int32")
    weights, starts = _words(12), _words(13) >> 8
    inputs = _words(14)[8:10]
    spread = [_repeated_pairs(int(word)) for word in inputs]
    result = _apply(
        lambda i: integer_ops.dot_groups(
            at(start, i),
            [at(packed, i)],
            [at(each, tirx.floormod(i, 4)) for each in (first, second)],
        ),
        *([start, packed, first, second], 4),
        *(starts, in_pairs(weights.reshape(-1, 4)).ravel(), *spread),
        words=Kind.PAIRS,
    )
    stored = weights.view("uint8").reshape(SIZE, 4).astype("int32")
    low, high = inputs.view("int8").reshape(2, 1, 4).astype("int32")
    products = (stored & 15) * low + (stored >> 4) * high
    np.testing.assert_array_equal(result, starts + products.sum(1, dtype="int32"))


def _repeated_pairs(word: int) -> Array:
    """The first two bytes of a word four times, then the last two."""
    low, high = word & 0xFFFF, word >> 16 & 0xFFFF
    pairs = [low | low << 16] * 2 + [high | high << 16] * 2
    return np.array(pairs, "uint32").view("int32")
