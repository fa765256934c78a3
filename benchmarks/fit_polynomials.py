"""Fit the polynomials of compiler/lowering: prints every table of coefficients with its error.

Polynomials are minimax fits by Remez's exchange; quotients are near-minimax fits by reweighted
least squares. All is computed with 40 digits; it takes seconds.
"""

from collections.abc import Callable
from typing import Any

from mpmath import (
    atan,
    cos,
    erf,
    erfc,
    exp,
    log,
    lu_solve,
    matrix,
    mp,
    mpf,
    pi,
    polyroots,
    polyval,
    sin,
    sqrt,
    tan,
    tanh,
)

mp.dps = 40
Function = Callable[[Any], Any]
SMALL = mpf(10) ** -12


def remez(target: Function, weight: Function, low: Any, high: Any, degree: int) -> tuple[Any, Any]:
    """Coefficients, lowest power first, of min max |weight (p - target)|, and that maximum."""
    count = degree + 2
    points, grid = chebyshev(low, high, count), chebyshev(low, high, 600)
    wanted = [(weight(x), target(x)) for x in grid]
    coefficients, errors = [], []
    for _ in range(12):
        rows = [
            [x**k for k in range(count - 1)] + [(-1) ** i / weight(x)] for i, x in enumerate(points)
        ]
        solution = lu_solve(matrix(rows), matrix([target(x) for x in points]))
        coefficients = list(solution)[:-1]
        errors = [w * (value(coefficients, x) - t) for x, (w, t) in zip(grid, wanted, strict=True)]
        peaks = extrema(errors, count)
        if len(peaks) < count:
            break
        points = [grid[peak] for peak in peaks]
    return coefficients, max(map(abs, errors))


def extrema(errors: list[Any], count: int) -> list[int]:
    """Places of the largest error of each sign change, at most `count` of them."""
    runs: list[list[int]] = [[0]]
    for i in range(1, len(errors)):
        if (errors[i] > 0) != (errors[i - 1] > 0):
            runs.append([])
        runs[-1].append(i)
    peaks = [max(run, key=lambda i: abs(errors[i])) for run in runs]
    while len(peaks) > count:
        peaks.pop(0 if abs(errors[peaks[0]]) < abs(errors[peaks[-1]]) else -1)
    return peaks


def quotient(target: Function, high: Any, above: int, below: int) -> tuple[Any, Any, Any]:
    """Numerator and denominator (first coefficient 1) near target on (0, high), relative error."""
    grid = chebyshev(mpf(0), mpf(high), 120)
    wanted, divisors, weights = [target(x) for x in grid], [mpf(1)] * 120, [mpf(1)] * 120
    best: tuple[Any, Any, Any] = ([], [], mpf(1))
    for _ in range(30):
        rows, right = [], []
        for x, t, d, w in zip(grid, wanted, divisors, weights, strict=True):
            scale = sqrt(w) / (d * t)
            powers = [x**k for k in range(above + 1)] + [-t * x**k for k in range(1, below + 1)]
            rows.append([scale * power for power in powers])
            right.append(scale * t)
        system = matrix(rows)
        solution = list(lu_solve(system.T * system, system.T * matrix(right)))
        top, bottom = solution[: above + 1], [mpf(1), *solution[above + 1 :]]
        divisors = [value(bottom, x) for x in grid]
        errors = [
            abs(value(top, x) / d / t - 1) for x, d, t in zip(grid, divisors, wanted, strict=True)
        ]
        if max(errors) < best[2]:
            best = top, bottom, max(errors)
        total = sum(w * e for w, e in zip(weights, errors, strict=True))
        weights = [w * e / total * 120 + SMALL for w, e in zip(weights, errors, strict=True)]
    return best


def chebyshev(low: Any, high: Any, count: int) -> list[Any]:
    """Points of an interval, denser at its ends, ascending."""
    middle, half = (low + high) / 2, (high - low) / 2
    return [middle - half * cos(pi * (2 * i + 1) / (2 * count)) for i in range(count)]


def value(coefficients: list[Any], x: Any) -> Any:
    """The polynomial at x."""
    return polyval(coefficients[::-1], x)


def show(name: str, coefficients: list[Any], error: Any, digits: int) -> None:
    """Print a table, highest power first, as the sources have it."""
    print(f"{name}: error {mp.nstr(error, 2)}")
    for coefficient in reversed(coefficients):
        print(f"    {mp.nstr(coefficient, digits)},")


def main() -> None:
    """Fit everything."""
    bound = log(2) / 2 * mpf("1.001")
    root = ((sqrt(2) - 1) / (sqrt(2) + 1)) ** 2 * mpf("1.001")
    octant = (pi / 4) ** 2 * mpf("1.001")
    eighth = tan(pi / 8) ** 2 * mpf("1.001")

    def near_one(z: Any) -> Any:
        return z + mpf(10) ** -9

    def exp_rest(r: Any) -> Any:
        return (exp(r) - 1 - r) / r**2 if abs(r) > SMALL else mpf(1) / 2 + r / 6

    def log_rest(z: Any) -> Any:
        s = sqrt(z)
        return (log((1 + s) / (1 - s)) - 2 * s) / s**3

    def sin_rest(z: Any) -> Any:
        return (sin(sqrt(z)) / sqrt(z) - 1) / z

    def cos_rest(z: Any) -> Any:
        return (cos(sqrt(z)) - 1 + z / 2) / z**2

    def atan_rest(z: Any) -> Any:
        return (atan(sqrt(z)) / sqrt(z) - 1) / z

    def erfc_scaled(t: Any) -> Any:
        x = 4 * (1 + t) / (1 - t)
        return exp(x * x) * erfc(x) * (1 + 2 * x)

    for digits, degrees in ((10, (4, 3, 2, 2)), (17, (10, 6, 5, 5))):
        show(
            "exp",
            *remez(exp_rest, lambda r: r * r / exp(r) + SMALL, -bound, bound, degrees[0]),
            digits,
        )
        show("log", *remez(log_rest, near_one, mpf(0), root, degrees[1]), digits)
        show("sin", *remez(sin_rest, near_one, mpf(0), octant, degrees[2]), digits)
        show("cos", *remez(cos_rest, lambda z: z * z + SMALL, mpf(0), octant, degrees[3]), digits)
    show("atan", *remez(atan_rest, near_one, mpf(0), eighth, 10), 17)
    show(
        "erf, small",
        *remez(slope_of(erf), lambda z: mpf(1), mpf(0), mpf(1), 12),
        17,
    )
    low, high = mpf(-3) / 5, (mpf("27.3") - 4) / (mpf("27.3") + 4)
    show("erfc", *remez(erfc_scaled, lambda t: 1 / erfc_scaled(t), low, high, 22), 17)
    half = mpf(1) / 2
    powers = remez(lambda r: mpf(2) ** r, lambda r: mpf(2) ** -r, -half, half, 5)
    show_factors("exp2", *powers)
    for name, function, end, degree in (("tanh", tanh, "9.02", 4), ("erf", erf, "3.85", 5)):
        top, bottom, error = quotient(slope_of(function), mpf(end) ** 2, degree, degree)
        show(f"{name}, above", top, error, 10)
        show(f"{name}, below", bottom, error, 10)


def show_factors(name: str, coefficients: list[Any], error: Any) -> None:
    """Print a polynomial as factors x^2 + a x + b and x + e, and the factor in front."""
    print(f"{name}: error {mp.nstr(error, 2)}, times {mp.nstr(coefficients[-1], 10)}")
    for root in polyroots(coefficients[::-1], maxsteps=200, extraprec=200):
        if root.imag == 0:
            print(f"    {mp.nstr(-root.real, 10)},")
        elif root.imag > 0:
            print(f"    ({mp.nstr(-2 * root.real, 10)}, {mp.nstr(abs(root) ** 2, 10)}),")


def slope_of(function: Function) -> Function:
    """function(x) / x of x^2."""
    return lambda z: function(sqrt(z)) / sqrt(z)


if __name__ == "__main__":
    main()
