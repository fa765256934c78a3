"""Results as a Markdown table on stdout and, if asked for, as JSON in a file."""

import json
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .layers import LAYERS
from .networks import INT8, NETWORKS

Row = dict[str, Any]


def parse_options(
    description: str | None, targets: Sequence[str] = (), *, loops: bool = False
) -> Namespace:
    """Which networks to measure for which targets, and where to save the JSON.

    Args:
        description: Help text.
        targets: Used if none is named; empty = there is no such choice.
        loops: Whether there is an option --loops.
    """
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    known = f"some of {', '.join((*NETWORKS, *INT8))} (default: those in float32)"
    parser.add_argument("networks", nargs="*", help=known)
    if targets:
        parser.add_argument("--target", nargs="+", default=targets)
    if loops:
        parser.add_argument("--loops", action="store_true", help="list the innermost loops too")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also save the numbers")
    options = parser.parse_args()
    if unknown := set(options.networks) - {*NETWORKS, *INT8, *LAYERS}:
        parser.error(f"unknown network {', '.join(sorted(unknown))}")
    options.networks = options.networks or list(NETWORKS)
    return options


def publish(rows: Sequence[Row], path: Path | None) -> None:
    """Print the rows as Markdown; save them as JSON if there is a path."""
    print(markdown(rows), flush=True)
    save(rows, path)


def save(rows: Sequence[Row], path: Path | None) -> None:
    """Write the rows as JSON if there is a path."""
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(rows, indent=1) + "\n")


def markdown(rows: Sequence[Row]) -> str:
    """A table with one line for each row; the first row names the columns."""
    names = list(rows[0])
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
    lines += ["| " + " | ".join(_text(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
