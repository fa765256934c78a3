"""Which format each layer gets: losses and costs of layers are taken to add up."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Option:
    """A format for one layer.

    Args:
        format: Its name.
        loss: What it loses where all others stay float.
        cost: What it takes, of what is to be saved.
    """

    format: str
    loss: float
    cost: float


@dataclass(frozen=True)
class Move:
    """A layer takes a cheaper format."""

    layer: str
    to: Option


def order_moves(options: Mapping[str, Sequence[Option]]) -> list[Move]:
    """Steps from the first option of each layer to its cheapest, by what is lost for what is saved.

    The formats that a layer goes through are the lower convex hull of its options: each step loses
    more for what it saves than the one before. After any number of steps no other choice that
    costs as little loses less, as far as losses add up.
    """
    moves: list[tuple[float, Move]] = []
    for layer, given in options.items():
        now = given[0]
        while cheaper := [option for option in given if option.cost < now.cost]:
            start = now
            now = min(cheaper, key=lambda option: (_rate(start, option), option.cost))
            moves.append((_rate(start, now), Move(layer, now)))
    return [move for _, move in sorted(moves, key=lambda pair: pair[0])]


def formats_after(options: Mapping[str, Sequence[Option]], moves: Sequence[Move]) -> dict[str, str]:
    """The format of each layer after some moves."""
    return {layer: option.format for layer, option in _after(options, moves).items()}


def cost_after(options: Mapping[str, Sequence[Option]], moves: Sequence[Move]) -> float:
    """What all layers take after some moves."""
    return sum(option.cost for option in _after(options, moves).values())


def most_that(holds: Callable[[int], bool], count: int) -> int:
    """The largest number up to `count` for which something holds that holds for 0, by halving.

    It takes what holds for a number to hold for smaller ones.
    """
    low, high = 0, count
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if holds(middle) else (low, middle - 1)
    return low


def _after(options: Mapping[str, Sequence[Option]], moves: Sequence[Move]) -> dict[str, Option]:
    return {layer: given[0] for layer, given in options.items()} | {
        move.layer: move.to for move in moves
    }


def _rate(start: Option, end: Option) -> float:
    """What is lost for what is saved; nothing where it loses less."""
    return max(end.loss - start.loss, 0.0) / (start.cost - end.cost)
