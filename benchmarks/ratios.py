"""Tables of the times of several runtimes, with penjing's share of each other one."""

import math
import statistics
from collections.abc import Sequence

from .table import Row, markdown

_OWN = "penjing"


def tables(rows: Sequence[Row]) -> str:
    """Markdown: one table per count of threads and clock, then why cells are empty."""
    parts: list[str] = []
    for threads in sorted({row["threads"] for row in rows}):
        chosen = [row for row in rows if row["threads"] == threads]
        for clock in ("wall ms", "cpu ms")[: 2 if threads == 1 else 1]:
            parts += [f"{threads} thread{'s' * (threads > 1)}, {clock}:", compare(chosen, clock)]
    notes = {
        f"- {row['runtime']} {row['version']} on {row['network']}: {row['refused']}"
        for row in rows
        if row["refused"]
    }
    return "\n\n".join([*parts, "\n".join(sorted(notes))] if notes else parts)


def compare(rows: Sequence[Row], clock: str) -> str:
    """A line for each network, then for each class of layers or all the geometric mean shares."""
    runtimes = list(dict.fromkeys(row["runtime"] for row in rows))
    networks = list(dict.fromkeys(row["network"] for row in rows))
    lines: list[Row] = []
    shares: list[tuple[str, dict[str, float]]] = []
    for network in networks:
        found = {row["runtime"]: row for row in rows if row["network"] == network}
        share = _shares({name: row[clock] for name, row in found.items() if clock in row})
        cells = {runtime: _cell(found[runtime], clock) for runtime in runtimes}
        lines.append({"network": network, **cells, **_best(share)})
        shares.append((network, share))
    groups = {network.split()[0]: None for network in networks if " " in network}
    for group in [*groups, ""]:
        chosen = [share for network, share in shares if network.startswith(group)]
        lines.append(_mean_line(group or "all", chosen, runtimes))
    return markdown(lines)


def _shares(times: dict[str, float]) -> dict[str, float]:
    """penjing's time by that of each other runtime."""
    if _OWN not in times:
        return {}
    return {name: times[_OWN] / time for name, time in times.items() if name != _OWN}


def _best(share: dict[str, float]) -> Row:
    name = max(share, key=lambda runtime: share[runtime], default=None)
    return {"best other": name, "of best": share[name] if name else None}


def _mean_line(group: str, shares: Sequence[dict[str, float]], runtimes: Sequence[str]) -> Row:
    """Geometric means; those of one runtime are over the networks that it runs."""
    line: Row = {"network": f"*penjing's share, {group}*"}
    for runtime in runtimes:
        line[runtime] = geometric_mean([share[runtime] for share in shares if runtime in share])
    best = geometric_mean([max(share.values()) for share in shares if share])
    return {**line, "best other": None, "of best": best}


def _cell(row: Row, clock: str) -> str:
    if clock not in row:
        return "-"
    spread = f" ({row['wall p20 ms']:.3g}-{row['wall p80 ms']:.3g})" if clock == "wall ms" else ""
    return f"{row[clock]:.3g}{spread}"


def geometric_mean(ratios: Sequence[float]) -> float | None:
    """The mean of ratios; None of none."""
    return math.exp(statistics.fmean(map(math.log, ratios))) if ratios else None
