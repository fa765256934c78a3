"""Functions of numbers in OpenCL C: what TIR has as one operation and OpenCL C has not."""

from .types import INTEGERS, LANES, with_lanes

_PAIR_SUMS = """\
static inline float4 pair_sums_float4(float4 a, float4 b)
{
    return (float4)(a.even + a.odd, b.even + b.odd);
}
"""

# Devices may be off by some units in the last place. The rest a - b * result is exact, so that of
# three neighbors the nearest can be told; far from 1 the device's own result has to do.
_DIVIDE = """\
static inline float divide_float(float a, float b)
{
    const float first = a / b;
    const float size = fabs(first), divisor = fabs(b);
    if (!(size > 1e-25f && size < 1e25f && divisor > 1e-12f && divisor < 1e12f))
        return first;
    const float result = first + fma(-b, first, a) / b;
    const float rest = fma(-b, result, a);
    const int step = (rest < 0.0f) == ((b < 0.0f) == (result < 0.0f)) ? -1 : 1;
    const float other = as_float(as_int(result) + step);
    return fabs(fma(-b, other, a)) < fabs(rest) ? other : result;
}
"""

# A number is the nearest root if it times its neighbors encloses the argument (Tuckerman's test).
_ROOT = """\
static inline float root_float(float x)
{
    const float first = sqrt(x);
    if (!(x > 1e-25f && x < 1e25f))
        return first;
    const float result = first + fma(-first, first, x) / (2.0f * first);
    const float below = as_float(as_int(result) - 1), above = as_float(as_int(result) + 1);
    if (fma(-result, above, x) > 0.0f)
        return above;
    return fma(-result, below, x) <= 0.0f ? below : result;
}
"""

# NaN in b stays, NaN in a gets lost.
_EXTREME = """\
static inline {type} {which}_{type}({type} a, {type} b)
{{
    return {choice};
}}
"""

_FLOOR = {
    "floor_div": "a / b - {chosen}",
    "floor_mod": "a % b + {chosen}",
}


def number_functions() -> dict[str, str]:
    """The functions, callees first."""
    return {**_exact(), **_extremes(), **_floors(), "pair_sums_float4": _PAIR_SUMS}


def number_calls() -> dict[str, tuple[str, ...]]:
    """The functions that they call."""
    names = [(name, with_lanes("float", n)) for name in ("divide", "root") for n in LANES[1:]]
    return {f"{name}_{ctype}": (f"{name}_float",) for name, ctype in names}


def _exact() -> dict[str, str]:
    """Divisions and square roots that are correctly rounded."""
    texts = {"divide_float": _DIVIDE, "root_float": _ROOT}
    for lanes in LANES[1:]:
        ctype = with_lanes("float", lanes)
        for name, parameters in (("divide", ("a", "b")), ("root", ("x",))):
            declared = ", ".join(f"{ctype} {parameter}" for parameter in parameters)
            elements = (
                ", ".join(f"{parameter}.s{lane:x}" for parameter in parameters)
                for lane in range(lanes)
            )
            calls = ", ".join(f"{name}_float({element})" for element in elements)
            texts[f"{name}_{ctype}"] = (
                f"static inline {ctype} {name}_{ctype}({declared})\n"
                f"{{\n    return ({ctype})({calls});\n}}\n"
            )
    return texts


def _extremes() -> dict[str, str]:
    """Maxima and minima of floats."""
    texts = {}
    for which, sign in (("min", "<"), ("max", ">")):
        for kind in ("half", "float", "double"):
            for lanes in LANES:
                vector = f"select(b, a, a {sign} b)"
                choice = f"a {sign} b ? a : b" if lanes == 1 else vector
                ctype = with_lanes(kind, lanes)
                texts[f"{which}_{ctype}"] = _EXTREME.format(type=ctype, which=which, choice=choice)
    return texts


def _floors() -> dict[str, str]:
    """Divisions of integers that round down."""
    texts = {}
    for name, formula in _FLOOR.items():
        for dtype, kind in INTEGERS.items():
            if dtype.startswith("u"):
                continue
            for lanes in LANES:
                ctype = with_lanes(kind, lanes)
                inexact = "(a % b != 0 && (a < 0) != (b < 0))"
                chosen = inexact if name == "floor_div" else f"({inexact[1:-1]} ? b : 0)"
                if lanes > 1:
                    mask = f"((a % b != ({ctype})(0)) & ((a ^ b) < ({ctype})(0)))"
                    chosen = (
                        f"(({mask}) & ({ctype})(1))" if name == "floor_div" else f"({mask} & b)"
                    )
                body = formula.format(chosen=chosen)
                texts[f"{name}_{ctype}"] = (
                    f"static inline {ctype} {name}_{ctype}({ctype} a, {ctype} b)\n"
                    f"{{\n    return {body};\n}}\n"
                )
    return texts
