"""Names of variables in C: which are taken where, and what they stand for."""

import re
from collections.abc import Collection
from typing import Any

_NO_LETTERS = re.compile(r"\W+")
_KEYWORDS = re.compile(
    "auto|break|case|char|const|continue|default|do|double|else|enum|extern|float|for|goto|if"
    "|inline|int|long|register|restrict|return|short|signed|sizeof|static|struct|switch|typedef"
    "|union|unsigned|void|volatile|while|bool|true|false"
)


class Scope:
    """The names that a place in a function sees; inner blocks see those around them.

    Args:
        reserved: Names that the language has beside the keywords of C.
    """

    def __init__(self, reserved: Collection[str] = ()) -> None:
        self._entries: list[tuple[Any, str]] = []  # what has a name, and the name
        self._reserved = reserved

    def declare(self, what: Any, wanted: str) -> str:
        """A free name like `wanted` for a variable or buffer of TIR, None for anything else."""
        stem = _NO_LETTERS.sub("_", wanted).strip("_") or "value"
        if stem[0].isdigit() or _KEYWORDS.fullmatch(stem) or stem in self._reserved:
            stem = f"v_{stem}"
        taken = {name for _, name in self._entries}
        name, number = stem, 1
        while name in taken:
            number += 1
            name = f"{stem}{number}"
        self._entries.append((what, name))
        return name

    def share(self, what: Any, name: str) -> None:
        """Let something have a name that is there already."""
        self._entries.append((what, name))

    def find(self, what: Any) -> str:
        """The name of a variable or buffer, "" if it has none here."""
        names: list[str] = [name for other, name in self._entries if _is(other, what)]
        return names[-1] if names else ""

    def open(self) -> int:
        """Begin a block; what `close` takes."""
        return len(self._entries)

    def close(self, block: int) -> None:
        """End a block: its names are free again."""
        del self._entries[block:]


def _is(other: Any, what: Any) -> bool:
    return other is not None and bool(other.same_as(what))
