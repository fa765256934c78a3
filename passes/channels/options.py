"""What the options of PruneChannels may be."""

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from ...compiler.errors import CompileError
from .criteria import CRITERIA
from .goals import Measure

MEASURES: tuple[Measure, ...] = ("ratio", "macs", "bytes", "instructions")
KINDS = ("channels", "features", "heads", "head_dim", "hidden")


def check_options(options: Mapping[str, Any], *, has_target: bool) -> None:
    """Refuse options that mean nothing.

    Args:
        options: By name.
        has_target: Whether a target is known.
    """
    _check_measure(options, has_target)
    _check_criterion(options["criterion"])
    _check_kinds(options["kinds"])
    if options["scope"] not in ("global", "layer"):
        raise _wrong("scope", options, "global or layer")
    for name in ("least_kept", "max_ratio"):
        if not 0 <= options[name] <= 1:
            raise _wrong(name, options, "a fraction from 0 to 1")
    for name in ("steps", "round_to"):
        if options[name] is not None and options[name] < 1:
            raise _wrong(name, options, "1 or more")
    if options["ridge"] is not None and not options["ridge"] >= 0:
        raise _wrong("ridge", options, "0 or more")


def _check_measure(options: Mapping[str, Any], has_target: bool) -> None:
    given = [name for name in MEASURES if options[name] is not None]
    if len(given) != 1:
        raise CompileError(
            "prune-channels must be told how much, in one way",
            got=", ".join(given) or "none of ratio, macs, bytes, instructions",
            fix="give ratio=0.5 to drop half of the units, or macs=0.5 to keep half of the work",
        )
    name = given[0]
    if not 0 <= options[name] < 1 if name == "ratio" else not 0 < options[name] <= 1:
        raise _wrong(name, options, "a fraction, of units to drop or of the cost to keep")
    if name == "instructions" and not has_target:
        raise CompileError(
            "instructions are estimated for a target",
            fix="give optimize target='arm-a72', or use macs=",
        )


def _check_criterion(criterion: Any) -> None:
    if callable(criterion) or criterion in CRITERIA:
        return
    near = get_close_matches(str(criterion), CRITERIA, 1)
    raise CompileError(
        "unknown criterion" + (f"; did you mean {near[0]!r}?" if near else ""),
        got=f"criterion={criterion!r}",
        fix=f"use one of {', '.join(CRITERIA)}, or a function of program and group",
    )


def _check_kinds(kinds: tuple[str, ...]) -> None:
    if not kinds or not set(kinds) <= set(KINDS):
        raise CompileError("unknown kinds of units", got=f"kinds={kinds}", fix=", ".join(KINDS))
    if {"heads", "head_dim"} <= set(kinds):
        raise CompileError(
            "heads and their dimensions cannot be pruned at once",
            got=f"kinds={kinds}",
            fix="prune one after the other, in two passes",
        )


def _wrong(name: str, options: Mapping[str, Any], expected: str) -> CompileError:
    return CompileError(f"{name} must be {expected}", got=f"{name}={options[name]!r}")
