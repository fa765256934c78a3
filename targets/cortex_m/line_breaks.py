"""Long lines of C, broken where a person would break them."""

import re
from collections.abc import Sequence

WIDTH = 100
_BREAK = re.compile(r", | (?=(?:[-+*/|&^?:]|&&|\|\||<<|>>) )")


def listed(start: str, parts: Sequence[str], end: str) -> list[str]:
    """A list in parentheses, its parts below each other where they do not fit one line.

    Args:
        start: What comes before the first part, with the indentation.
        parts: The parts.
        end: What follows the last one.
    """
    indent = " " * len(start)
    if len(indent) > WIDTH // 2:
        indent = " " * (len(start) - len(start.lstrip()) + 8)
    lines = [start]
    for index, part in enumerate(parts):
        text = part + (", " if index + 1 < len(parts) else end)
        if len(lines[-1]) + len(text.rstrip()) > WIDTH and lines[-1].strip():
            lines[-1] = lines[-1].rstrip()
            lines.append(indent)
        lines[-1] += text
    return [piece for line in lines for piece in broken(line)]


def broken(line: str) -> list[str]:
    """A statement as lines of at most 100 characters, broken outside of as many parentheses."""
    indent = " " * (len(line) - len(line.lstrip()) + 8)
    lines = []
    while len(line) > WIDTH:
        places = [match.end() for match in _BREAK.finditer(line) if match.end() <= WIDTH + 1]
        places = [place for place in places if line[:place].strip() and place > len(indent)]
        if not places:
            break
        place = min(places, key=lambda place: (_depth(line[:place]), -place))
        lines.append(line[:place].rstrip())
        line = indent + line[place:]
    return [*lines, line]


def _depth(text: str) -> int:
    """How many parentheses are open; those around conditions of loops do not count."""
    return sum(text.count(mark) for mark in "([") - sum(text.count(mark) for mark in ")]")
