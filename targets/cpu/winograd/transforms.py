"""The two transforms of a tile as straight code, and the matrices that they stand for.

A tile of m outputs and 3 taps along one axis is a product of polynomials, evaluated at m + 1
points and at infinity. For m = 4 the points are 0, +-3/4 and +-3/2: their powers stay near 1, so
rounding errors are a quarter of those with the usual 0, +-1, +-2, for three more instructions per
axis (docs/decisions/010). The coefficients of the input transform are exact in binary.

Source: Lavin and Gray 2016, arXiv:1509.09308; Toom-Cook interpolation.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from tvm import tirx

Matrix = np.ndarray[Any, np.dtype[np.float64]]
Keep = Callable[[Any], Any]  # expression -> the same, computed once
Element = Callable[[int, int], Any]
NEAR, FAR = 0.75, 1.5  # the points of a tile of 4 are 0, +-NEAR, +-FAR


def points(tile: int) -> tuple[float, ...]:
    """Where the polynomials are evaluated, infinity left out."""
    return {2: (0, 1, -1), 4: (0, NEAR, -NEAR, FAR, -FAR)}[tile]


def matrices(tile: int) -> tuple[Matrix, Matrix, Matrix]:
    """B^T [m + 2, m + 2], G [m + 2, 3] and A^T [m, m + 2] with y = A^T ((G g) * (B^T d)).

    Column i of A^T is divided by its point, and row i of G multiplied: one product less.
    """
    xs = points(tile)
    taps = tile + 2
    inputs, weights, outputs = np.zeros((taps, taps)), np.zeros((taps, 3)), np.zeros((tile, taps))
    for i, x in enumerate(xs):
        others = [y for y in xs if y != x]
        scale = abs(x) if tile == 4 and x else 1.0
        inputs[i, : taps - 1] = np.poly(others)[::-1]
        weights[i] = np.power(float(x), range(3)) * scale / np.prod([x - y for y in others])
        outputs[:, i] = np.power(float(x), range(tile)) / scale
    inputs[-1] = np.poly(xs)[::-1]
    weights[-1, -1] = outputs[-1, -1] = 1
    return inputs, weights, outputs


def transform_input(tile: int, patch: Element, keep: Keep) -> Iterator[tuple[int, Any]]:
    """(position, value) of B^T d B for the patch d, row by row."""
    one_axis = {2: _input_2, 4: _input_4}[tile]
    taps = tile + 2
    columns = [one_axis([patch(i, j) for i in range(taps)], keep) for j in range(taps)]
    for i in range(taps):
        row = one_axis([column[i] for column in columns], keep)
        yield from ((i * taps + j, value) for j, value in enumerate(row))


def transform_output(tile: int, product: Element, keep: Keep) -> Iterator[tuple[int, Any]]:
    """(position, value) of A^T M A for the products M, row by row."""
    one_axis = {2: _output_2, 4: _output_4}[tile]
    taps = tile + 2
    columns = [one_axis([product(i, j) for i in range(taps)], keep) for j in range(taps)]
    for i in range(tile):
        row = one_axis([column[i] for column in columns], keep)
        yield from ((i * tile + j, value) for j, value in enumerate(row))


def _input_2(d: list[Any], keep: Keep) -> list[Any]:
    return [keep(d[2] - d[0]), keep(d[2] + d[1]), keep(d[2] - d[1]), keep(d[3] - d[1])]


def _output_2(m: list[Any], keep: Keep) -> list[Any]:
    return [keep(m[0] + (m[1] + m[2])), keep((m[1] - m[2]) + m[3])]


def _input_4(d: list[Any], keep: Keep) -> list[Any]:
    """Rows (x^2 - FAR^2)(x^2 - NEAR^2), (x^2 - FAR^2)(x^2 +- NEAR x), ... of B^T."""
    near, far = _number(NEAR), _number(FAR)
    near_2, far_2 = _number(NEAR**2), _number(FAR**2)
    odd_far = keep(d[3] - far_2 * d[1])
    even_far = keep(d[4] - far_2 * d[2])
    odd_near = keep(far * keep(d[3] - near_2 * d[1]))
    even_near = keep(d[4] - near_2 * d[2])
    first = keep(even_far - near_2 * keep(d[2] - far_2 * d[0]))
    last = keep((d[5] - far_2 * d[3]) - near_2 * odd_far)
    scaled = keep(near * odd_far)
    return [
        first,
        keep(even_far + scaled),
        keep(even_far - scaled),
        keep(even_near + odd_near),
        keep(even_near - odd_near),
        last,
    ]


def _output_4(m: list[Any], keep: Keep) -> list[Any]:
    """Powers 0 to 3 of the points, divided by the point."""
    even_near, odd_near = keep(m[1] + m[2]), keep(m[1] - m[2])
    even_far, odd_far = keep(m[3] + m[4]), keep(m[3] - m[4])
    return [
        keep((m[0] + _number(1 / NEAR) * even_near) + _number(1 / FAR) * even_far),
        keep(odd_near + odd_far),
        keep(_number(NEAR) * even_near + _number(FAR) * even_far),
        keep((m[5] + _number(NEAR**2) * odd_near) + _number(FAR**2) * odd_far),
    ]


def _number(value: float) -> Any:
    return tirx.const(value, "float32")
