"""Results as a Markdown table on stdout and, if asked for, as JSON in a file."""

import json
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .networks import NETWORKS

Row = dict[str, Any]


def parse_options(description: str | None, target: str) -> Namespace:
    """Which networks and target to measure, and where to save the JSON."""
    parser = ArgumentParser(description=description)
    parser.add_argument("networks", nargs="*", help=f"some of {', '.join(NETWORKS)} (default: all)")
    parser.add_argument("--target", default=target)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also save the numbers")
    options = parser.parse_args()
    if unknown := set(options.networks) - set(NETWORKS):
        parser.error(f"unknown network {', '.join(sorted(unknown))}")
    options.networks = options.networks or list(NETWORKS)
    return options


def publish(rows: Sequence[Row], path: Path | None) -> None:
    """Print the rows as Markdown; save them as JSON if there is a path."""
    names = list(rows[0])
    print("| " + " | ".join(names) + " |")
    print("|" + "---|" * len(names))
    for row in rows:
        print("| " + " | ".join(_text(row[name]) for name in names) + " |")
    if path is not None:
        path.write_text(json.dumps(rows, indent=1) + "\n")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}"
    return f"{value:,}" if isinstance(value, int) else str(value)
