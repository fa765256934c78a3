"""The micro-kernels of dense layers in C99: the same constants, the same bytes, on every core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .dense_baseline import products_name
from .layer import MicroKernel

if TYPE_CHECKING:
    from .dense_sums import SumsShape
    from .dense_vector import VectorShape

WORD = MicroKernel(
    "word_of_halves",
    """\
/* The 32 bits of two int16, low half first. */
static inline uint32_t word_of_halves(const int16_t *halves)
{
    return (uint16_t)halves[0] | (uint32_t)(uint16_t)halves[1] << 16;
}
""",
)

RESULT = MicroKernel(
    "result_of_sum",
    """\
/* zero_point + sum * multiplier / 2^32, rounded once, kept in [low, high]. */
static inline int8_t result_of_sum(int32_t sum, int32_t multiplier, int32_t zero_point,
                                   int32_t low, int32_t high)
{
    const int32_t result = zero_point + high_product(sum, multiplier);
    return (int8_t)(result < low ? low : result > high ? high : result);
}
""",
)


def uses_baseline(shape: SumsShape) -> bool:
    """Whether the inner loop is a function of its own (dense_baseline.py)."""
    fits = 4 < shape.window.length < 1 << 15 and shape.window.pixel < 1 << 15
    return shape.shared and shape.pixels == 2 and fits


def portable_sums(shape: SumsShape) -> str:
    """The body of a function that computes `shape` from x, w, y and zero_point."""
    if shape.channels == 1:
        return "\n".join(_group(shape, "    ", "0"))
    step = f"n += {shape.group}"
    head = f"    for (int32_t n = 0; n < {shape.channels}; {step}) {{"
    return "\n".join([head, *_group(shape, "        ", "n"), "    }"])


def _group(shape: SumsShape, indent: str, channel: str) -> list[str]:
    """The channels that are computed at once."""
    starts = [
        f"uint32_t {_sum(p, c)} = word_of_halves(w{f' + {2 * c}' if c else ''});"
        for p in range(shape.pixels)
        for c in range(shape.group)
    ]
    if uses_baseline(shape):
        words = [f"word_of_halves(w{f' + {2 * c}' if c else ''})" for c in (0, 1)]
        starts = [f"uint32_t sums[4] = {{{', '.join(2 * words)}}};"]
    scales = [
        f"const int32_t m{c} = (int32_t)word_of_halves(w{f' + {2 * c}' if c else ''});"
        for c in range(shape.group)
    ]
    ahead = f"w += {2 * shape.group};"
    lines = [*starts, ahead, *_products(shape), *scales, ahead, *_stores(shape, channel)]
    return [indent + line for line in lines]


def _products(shape: SumsShape) -> list[str]:
    window = shape.window
    loops, at = [], ["x"]
    for name, count, stride in (("row", window.rows, window.row), ("tap", window.taps, window.tap)):
        if count > 1:
            loops.append(f"for (int32_t {name} = 0; {name} < {count}; ++{name}) {{")
            at.append(f"{name} * {stride}")
    inner = [f"const int16_t *taken = {' + '.join(at)};"]
    inner += _shared(shape) if shape.shared else _separate(shape)
    lines = [f"{'    ' * depth}{line}" for depth, line in enumerate(loops)]
    lines += ["    " * len(loops) + line for line in inner]
    lines += ["    " * depth + "}" for depth in reversed(range(len(loops)))]
    return lines if loops else ["{", *("    " + line for line in lines), "}"]


def _shared(shape: SumsShape) -> list[str]:
    if uses_baseline(shape):
        name = products_name(shape.window)
        return [f"{name}(taken, w, sums);", f"w += {shape.window.length};"]
    if shape.window.length == 4:
        return _four(shape)
    lines = [
        f"for (int32_t i = 0; i < {shape.window.length}; ++i) {{",
        "    const int32_t both = *w++, second = (int8_t)both;",
    ]
    for pixel in range(shape.pixels):
        lines.append(f"    const int32_t x{pixel} = taken[{_offset(shape, pixel)}i];")
    for pixel in range(shape.pixels):
        lines.append(f"    {_sum(pixel, 0)} += (uint32_t)(x{pixel} * both);")
        lines.append(f"    {_sum(pixel, 1)} += (uint32_t)(x{pixel} * second);")
    return [*lines, "}"]


def _four(shape: SumsShape) -> list[str]:
    """A piece that is too short for a loop."""
    lines = []
    for pixel in range(shape.pixels):
        x = [f"taken[{_offset(shape, pixel)}{j}]" for j in range(4)]
        both = " + ".join(f"{x[j]} * w[{j}]" for j in range(4))
        second = " + ".join(f"{x[j]} * (int8_t)w[{j}]" for j in range(4))
        lines.append(f"{_sum(pixel, 0)} += (uint32_t)({both});")
        lines.append(f"{_sum(pixel, 1)} += (uint32_t)({second});")
    return [*lines, "w += 4;"]


def _separate(shape: SumsShape) -> list[str]:
    """Two int16 hold the weights f0 f2 and f1 f3 of a channel."""
    lines = [f"for (int32_t i = 0; i < {shape.window.length}; i += 4) {{"]
    for channel in range(shape.group):
        a, b = f"w[{2 * channel}]", f"w[{2 * channel + 1}]"
        for pixel in range(shape.pixels):
            x = [f"taken[{_offset(shape, pixel)}i{f' + {j}' if j else ''}]" for j in range(4)]
            lines.append(
                f"    {_sum(pixel, channel)} += (uint32_t)({x[0]} * (int8_t){a} + {x[1]} * "
                f"(int8_t){b} + {x[2]} * ({a} >> 8) + {x[3]} * ({b} >> 8));"
            )
    return [*lines, f"    w += {2 * shape.group};", "}"]


def _stores(shape: SumsShape, channel: str) -> list[str]:
    lines = []
    limits = f"zero_point, {shape.low}, {shape.high}"
    for pixel in range(shape.pixels):
        for c in range(shape.group):
            first, second = _sum(pixel, 0), _sum(pixel, 1)
            if uses_baseline(shape):
                first, second = f"sums[{2 * pixel}]", f"sums[{2 * pixel + 1}]"
            left = f" * {1 << shape.left}" * (shape.left > 0)
            own = f"(int32_t){second if c else first}{left}"
            if shape.shared and c == 0:  # 256 times the sum
                difference = f"(int32_t)({first} - {second})"
                own = f"{difference} >> {7 - shape.shift}"
            at = " + ".join(filter(None, [channel.strip("0"), str(pixel * shape.row + c or "")]))
            lines.append(f"y[{at or '0'}] = result_of_sum({own}, m{c}, {limits});")
    return lines


def _sum(pixel: int, channel: int) -> str:
    return f"sum{pixel}{'ab'[channel]}"


def _offset(shape: SumsShape, pixel: int) -> str:
    return f"{pixel * shape.window.pixel} + " * (pixel > 0)


def portable_vector(shape: VectorShape) -> str:
    """The body of a function that multiplies a row by a matrix."""
    lines: list[str] = []
    for lanes, stored, count in shape.groups:
        if count > 1:
            lines.append(f"    for (int32_t n = 0; n < {4 * count}; n += 4, y += 4) {{")
        else:
            lines.append("    {")
        lines += ["        " + line for line in _vector_group(shape, lanes, stored)]
        lines.append("    }")
        lines += ["    y += 4;"] * (count == 1 and stored == 4 and shape.channels > 4)
    return "\n".join(lines)


def _vector_group(shape: VectorShape, lanes: int, stored: int) -> list[str]:
    pairs, whole = lanes // 2, -(-shape.factors // 4) * 4
    sums = [f"sum{pair}{lane}" for pair in range(pairs) for lane in "ab"]
    lines = [f"uint32_t {own} = word_of_halves(w + {2 * i});" for i, own in enumerate(sums)]
    scale = f"w + {2 * lanes + pairs * whole}"
    lines += [f"const int16_t *scale = {scale};", f"w += {2 * lanes};"]
    fours = shape.factors // 4 * 4
    if fours:
        lines.append(f"for (int32_t i = 0; i < {fours}; i += 4, w += {2 * lanes}) {{")
        lines += ["    " + line for line in _vector_products(pairs, "i", 4)]
        lines.append("}")
    lines += _vector_products(pairs, str(fours), shape.factors - fours)
    right = 7 - max(shape.left - 1, 0)
    for i in range(stored):
        own = f"(int32_t){sums[i]}" + f" * {1 << shape.left}" * (shape.left > 0)
        if i % 2 == 0:
            own = f"(int32_t)({sums[i]} - {sums[i + 1]}) >> {right}"
        multiplier = f"(int32_t)word_of_halves(scale + {2 * i})"
        limits = f"zero_point, {shape.low}, {shape.high}"
        lines.append(f"y[{i}] = result_of_sum({own}, {multiplier}, {limits});")
    return [*lines, f"w = scale + {2 * lanes};"]


def _vector_products(pairs: int, first: str, factors: int) -> list[str]:
    """At most four factors; they lie in the order 0 2 1 3 in the constants."""
    return [
        line
        for k in range(factors)
        for pair in range(pairs)
        for place in [4 * pair + (0, 2, 1, 3)[k]]
        for line in (
            f"sum{pair}a += (uint32_t)(x[{first} + {k}] * w[{place}]);",
            f"sum{pair}b += (uint32_t)(x[{first} + {k}] * (int8_t)w[{place}]);",
        )
    ]
