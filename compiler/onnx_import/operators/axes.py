"""Axes and shapes as the attributes or inputs of a node name them."""

from collections.abc import Sequence

from ..call import Call

Shape = Sequence[int]


def wrap_axis(call: Call, axis: int, rank: int) -> int:
    """An axis, counted from the end if negative, as 0 <= axis < rank.

    Raises:
        CompileError: There is no such axis.
    """
    if not -rank <= axis < max(rank, 1):
        raise call.refused(f"axis {axis} of a tensor with {rank} axes")
    return axis % rank if rank else 0


def wrap_axes(call: Call, axes: Sequence[int], rank: int) -> list[int]:
    """As `wrap_axis`, of several different ones."""
    wrapped = [wrap_axis(call, axis, rank) for axis in axes]
    if len(set(wrapped)) != len(wrapped):
        raise call.refused(f"axes {list(axes)} name one axis twice")
    return wrapped


def given_axes(call: Call, position: int, input_since: int) -> list[int] | None:
    """The `axes` of a node, an attribute before version `input_since`; None if absent."""
    if call.opset < input_since:
        return given_ints(call, "axes")
    return call.known_ints(position, "the list of axes") if call.has(position) else None


def given_ints(call: Call, name: str) -> list[int] | None:
    """An attribute that is a list of integers; None if absent."""
    return list(call.needed(name)) if name in call.attributes else None
