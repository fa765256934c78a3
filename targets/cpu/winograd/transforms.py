"""The two transforms of a tile as straight code, and the matrices that they stand for.

A tile of m outputs and 3 taps along one axis is a product of polynomials, evaluated at m + 1
points and at infinity. For m = 4 the points are 0, +-3/4 and +-3/2: their powers stay near 1, so
rounding errors are a quarter of those with the usual 0, +-1, +-2, for three more instructions per
axis (docs/decisions/010). The coefficients of the input transform are exact in binary.

Source: Lavin and Gray 2016, arXiv:1509.09308; Toom-Cook interpolation.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import numpy as np
from tvm import tirx

Matrix = np.ndarray[Any, np.dtype[np.float64]]
Keep = Callable[[Any], Any]  # expression -> the same, computed once
Element = Callable[[int, int], Any]
Axis = Generator[list[tuple[int, Any]], Any, None]  # is sent elements, gives (place, value)
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


def transform_input(
    tile: int, patch: Element, keep: Keep, pause: Callable[[], None]
) -> Iterator[tuple[int, Any]]:
    """(position, value) of B^T d B for the patch d, in the order in which values get ready.

    `pause` is called when those that are ready should be stored before more is loaded.
    """
    axis, order = {2: (_input_2, (0, 1, 2, 3)), 4: (_input_4, (0, 2, 4, 1, 3, 5))}[tile]
    for ready in _transform(axis, order, tile + 2, patch, keep):
        yield from ready
        pause()


def transform_output(tile: int, product: Element, keep: Keep) -> Iterator[tuple[int, Any]]:
    """(position, value) of A^T M A for the products M, in the order in which values get ready."""
    axis, order = {2: (_output_2, (1, 2, 0, 3)), 4: (_output_4, (1, 2, 3, 4, 0, 5))}[tile]
    for ready in _transform(axis, order, tile, product, keep):
        yield from ready


def _transform(
    axis: Callable[[Keep], Axis], order: Sequence[int], size: int, element: Element, keep: Keep
) -> Iterator[list[tuple[int, Any]]]:
    """Transform columns, and each row as soon as the columns give it something.

    So fewer values wait in registers than if all columns came before the rows.
    """
    rows = [_started(axis(keep)) for _ in range(size)]
    for j in order:
        column = _started(axis(keep))
        for i in order:
            for y, value in column.send(element(i, j)):
                if results := rows[y].send(value):
                    yield [(y * size + x, result) for x, result in results]


def _started(axis: Axis) -> Axis:
    next(axis)
    return axis


def _input_2(keep: Keep) -> Axis:
    d0 = yield []
    d1 = yield []
    d2 = yield []
    d3 = yield [(0, keep(d2 - d0)), (1, keep(d2 + d1)), (2, keep(d2 - d1))]
    yield [(3, keep(d3 - d1))]


def _output_2(keep: Keep) -> Axis:
    m1 = yield []
    m2 = yield []
    total, difference = keep(m1 + m2), keep(m1 - m2)
    m0 = yield []
    m3 = yield [(0, keep(m0 + total))]
    yield [(1, keep(difference + m3))]


def _input_4(keep: Keep) -> Axis:
    """Rows (x^2 - FAR^2)(x^2 - NEAR^2), (x^2 - FAR^2)(x^2 +- NEAR x), ... of B^T."""
    near, far = _number(NEAR), _number(FAR)
    near_2, far_2 = _number(NEAR**2), _number(FAR**2)
    d0 = yield []
    d2 = yield []
    first = keep(d2 - far_2 * d0)
    d4 = yield []
    even_far, even_near = keep(d4 - far_2 * d2), keep(d4 - near_2 * d2)
    d1 = yield [(0, keep(even_far - near_2 * first))]
    d3 = yield []
    odd_far = keep(d3 - far_2 * d1)
    odd_near = keep(far * keep(d3 - near_2 * d1))
    scaled = keep(near * odd_far)
    d5 = yield [
        (1, keep(even_far + scaled)),
        (2, keep(even_far - scaled)),
        (3, keep(even_near + odd_near)),
        (4, keep(even_near - odd_near)),
    ]
    yield [(5, keep((d5 - far_2 * d3) - near_2 * odd_far))]


def _output_4(keep: Keep) -> Axis:
    """Powers 0 to 3 of the points, divided by the point."""
    m1 = yield []
    m2 = yield []
    even_near, odd_near = keep(m1 + m2), keep(m1 - m2)
    m3 = yield []
    m4 = yield []
    even_far, odd_far = keep(m3 + m4), keep(m3 - m4)
    m0 = yield [
        (1, keep(odd_near + odd_far)),
        (2, keep(_number(NEAR) * even_near + _number(FAR) * even_far)),
    ]
    m5 = yield [(0, keep((m0 + _number(1 / NEAR) * even_near) + _number(1 / FAR) * even_far))]
    yield [(3, keep((m5 + _number(NEAR**2) * odd_near) + _number(FAR**2) * odd_far))]


def _number(value: float) -> Any:
    return tirx.const(value, "float32")
