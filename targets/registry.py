"""Targets by name."""

import difflib
from collections.abc import Callable

from .arm import ARM_TARGETS
from .host import host_target
from .target import Target
from .x86 import X86_TARGETS


class UnknownTarget(ValueError):
    """No target has this name; the message lists those that exist.

    Attributes:
        name: What was asked for.
        nearest: The known name that looks most like it, or "".
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.nearest = _nearest(name)
        hint = f"; did you mean {self.nearest!r}?" if self.nearest else ""
        super().__init__(f"unknown target {name!r}{hint} (known: {', '.join(names())})")


_TARGETS: dict[str, Callable[[], Target]] = {"host": host_target}


def register(target: Target) -> Target:
    """Make a target known by its name; a second one of the same name is an error."""
    if target.name in _TARGETS:
        raise ValueError(f"there is already a target named {target.name!r}")
    _TARGETS[target.name] = lambda: target
    return target


def get(name: str) -> Target:
    """The target of that name; "host" describes the machine this runs on.

    Raises:
        UnknownTarget: No target has that name.
        UnsupportedHost: The name is "host", and penjing cannot generate code for this machine.
    """
    if name not in _TARGETS:
        raise UnknownTarget(name)
    return _TARGETS[name]()


def names() -> tuple[str, ...]:
    """The known names, in the order they were registered."""
    return tuple(_TARGETS)


def _nearest(name: str) -> str:
    # The letters in any order count as much as in theirs: people swap digits (a27 for a72).
    def likeness(known: str) -> float:
        pairs = ((name, known), (sorted(name), sorted(known)))
        return sum(difflib.SequenceMatcher(None, *pair).ratio() for pair in pairs) / len(pairs)

    best = max(names(), key=likeness)
    return best if likeness(best) > 0.7 else ""


for _target in (*X86_TARGETS, *ARM_TARGETS):
    register(_target)
