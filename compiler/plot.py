"""Drawings for the report; matplotlib is imported only here."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import CompileError

_INCHES_PER_LAYER = 0.22
_MOST_LAYERS = 80  # more rows than these cannot be read: the smallest are left out


def plot_layers(
    before: Mapping[str, Mapping[str, int]], after: Mapping[str, Mapping[str, int]], path: Path
) -> None:
    """Draw `macs` and `parameters` of layers, by module path, as pairs of bars.

    Args:
        before: The original's layers in order.
        after: The layers left; one that is missing was removed.
        path: Its suffix chooses the format.

    Raises:
        CompileError: matplotlib is not installed, or the format is unknown.
    """
    names = _largest(before)
    figure = _figure(len(names))
    for axes, key, title in zip(
        figure.subplots(1, 2, sharey=True),
        ("macs", "parameters"),
        ("multiply-accumulates", "parameters"),
        strict=True,
    ):
        _draw(axes, names, before, "before", "#c8c8c8", 0.8, key)
        _draw(axes, names, after, "after", "#2f7d4f", 0.45, key)
        axes.set_title(title)
        axes.spines[["top", "right"]].set_visible(False)
    axes.invert_yaxis()
    axes.legend(frameon=False)
    _save(figure, path)


def plot_decibels(rows: Sequence[tuple[str, float]], path: Path) -> None:
    """Draw signal to noise of values, by name, from the first at the top to the last.

    Args:
        rows: Names and decibels; infinite ones stand for equal values and get no bar.
        path: Its suffix chooses the format.

    Raises:
        CompileError: matplotlib is not installed, or the format is unknown.
    """
    lowest = sorted(range(len(rows)), key=lambda index: rows[index][1])[:_MOST_LAYERS]
    shown = [rows[index] for index in sorted(lowest)]
    figure = _figure(len(shown))
    axes = figure.subplots()
    places = range(len(shown))
    values = [value if math.isfinite(value) else 0.0 for _, value in shown]
    bars = axes.barh(places, values, 0.7, color="#2f7d4f")
    labels = [f"{value:.1f}" if math.isfinite(value) else str(value) for _, value in shown]
    axes.bar_label(bars, ["equal" if each == "inf" else each for each in labels], padding=3)
    axes.set_yticks(places, [name for name, _ in shown], fontsize=7)
    axes.set_xlabel("signal to noise, dB")
    axes.spines[["top", "right"]].set_visible(False)
    axes.invert_yaxis()
    _save(figure, path)


def _figure(rows: int) -> Any:
    """A figure for as many rows."""
    try:
        from matplotlib.figure import Figure  # no global state and no display, unlike pyplot
    except ImportError as error:
        raise CompileError(
            "plots need matplotlib", fix='pip install "penjing[plots]" or matplotlib'
        ) from error
    return Figure(figsize=(10, 1.2 + _INCHES_PER_LAYER * rows), layout="constrained")


def _save(figure: Any, path: Path) -> None:
    try:
        figure.savefig(path)
    except ValueError as error:
        raise CompileError(f"cannot draw to {path}: {error}", fix="use .svg or .png") from error


def _draw(
    axes: Any,
    names: list[str],
    layers: Mapping[str, Mapping[str, int]],
    label: str,
    color: str,
    height: float,
    key: str,
) -> None:
    widths = [layers.get(name, {}).get(key, 0) for name in names]
    axes.barh([name or "model" for name in names], widths, height, color=color, label=label)
    axes.tick_params(axis="y", labelsize=7)


def _largest(layers: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The layers to show, in order."""
    by_work = sorted(layers, key=lambda name: -layers[name]["macs"] - layers[name]["parameters"])
    shown = set(by_work[:_MOST_LAYERS])
    return [name for name in layers if name in shown]
