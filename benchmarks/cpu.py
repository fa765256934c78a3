"""Time of one inference on this CPU, of penjing beside other runtimes.

python -m benchmarks.cpu [NETWORK ...] [--layers] [--threads 1 2] [--only RUNTIME ...]
                         [--python PATH ...] [--json FILE] [--markdown FILE]

Every runtime loads the network in a process of its own, pinned to the same cores, and has its
outputs compared with torch's. Then they take turns, round after round, so that whatever else the
machine does meets all of them alike. Tables show the median of all inferences in milliseconds of
wall time with the 20th and 80th percentile, and on one thread the CPU time too, which a busy
machine disturbs less: where the two differ, it was busy. `of best` is penjing's time by that of the
fastest other runtime: below 1 it wins.

The runtimes are those of the extra `peers`; --python names interpreters of other environments that
have them. Converted networks are kept in --cache.
"""

import os
import statistics
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .layers import LAYERS
from .networks import INT8, NETWORKS, SUFFIX
from .peers import RUNTIMES, Peer, prepare, runtime_version
from .ratios import tables
from .table import Row, save

_TURN_NS = 60e6  # of one runtime in one round
_MOST_RUNS = 200  # in one turn
_TOLERANCE = 1e-3  # of the largest output: Winograd's transforms cost some
_ROUNDED = 0.5  # with int8 and random weights: only what is wrong altogether is refused

Samples = tuple[list[float], list[float]]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What to measure, with what."""

    networks: list[str]
    threads: list[int]
    rounds: int
    only: list[str]  # runtimes
    python: list[str]  # interpreters
    cache: Path
    json: Path | None
    markdown: Path | None


def main() -> None:
    """Measure everything that was asked for, and write the tables."""
    options = parse_measuring(__doc__)
    rows: list[Row] = []
    for network in options.networks:
        for threads in options.threads:
            print(f"{network}, {threads} threads", file=sys.stderr, flush=True)
            rows += measure(network, threads, options)
            save(rows, options.json)  # of what is done, should it be stopped
    text = tables(rows)
    print(text)
    if options.markdown:
        options.markdown.write_text(text + "\n")


def measure(network: str, threads: int, options: Options) -> list[Row]:
    """One row for each runtime: its times, or why there are none."""
    rows: dict[str, Row] = {}
    peers: dict[str, Peer] = {}
    for runtime in options.only:
        rows[runtime], _, peer = start(runtime, network, threads, options)
        if peer is not None:
            peers[runtime] = peer
    samples = _take_turns(peers, options.rounds)
    for runtime, peer in peers.items():
        peer.close()
        rows[runtime] |= _summary(*samples[runtime])
    return list(rows.values())


def start(
    runtime: str, network: str, threads: int, options: Options
) -> tuple[Row, Path, Peer | None]:
    """A row with the facts, the folder of the model, and its process if it gives right results."""
    row: Row = {"network": network, "threads": threads, "runtime": runtime}
    row["version"] = runtime_version(runtime, options.python)
    folder, row["refused"] = prepare(runtime, network, threads, options.cache, options.python)
    if row["refused"]:
        return row, folder, None
    cores = sorted(os.sched_getaffinity(0))[-threads:]
    peer = Peer(runtime, folder, threads, cores, options.python)
    row |= peer.facts
    if not row["refused"] and not row["error"] <= (
        _ROUNDED if network.endswith(SUFFIX) else _TOLERANCE
    ):
        row["refused"] = f"wrong by {row['error']:.1g}"
    if row["refused"]:
        peer.close()
        return row, folder, None
    return row, folder, peer


def _take_turns(peers: dict[str, Peer], rounds: int) -> dict[str, Samples]:
    """Wall time of every inference and CPU time of every turn, in nanoseconds."""
    times = {runtime: _runs_in_a_turn(peer) for runtime, peer in peers.items()}
    samples: dict[str, Samples] = {runtime: ([], []) for runtime in peers}
    for _ in range(rounds):
        for runtime, peer in peers.items():
            answer = peer.run(times[runtime])
            samples[runtime][0].extend(answer["wall"][1:])  # the first warms the caches up
            samples[runtime][1].append(answer["cpu"])
    return samples


def _runs_in_a_turn(peer: Peer) -> int:
    """As many as fill a turn, after some that warm up."""
    shortest: int = min(peer.run(3)["wall"])
    return max(3, min(_MOST_RUNS, round(_TURN_NS / shortest)))


def _summary(wall: Sequence[float], cpu: Sequence[float]) -> Row:
    spread = statistics.quantiles(wall, n=10)
    return {
        "wall ms": statistics.median(wall) / 1e6,
        "wall p20 ms": spread[1] / 1e6,
        "wall p80 ms": spread[7] / 1e6,
        "cpu ms": statistics.median(cpu) / 1e6,
        "cpu min ms": min(cpu) / 1e6,
    }


def parse_measuring(description: str | None, runtimes: Sequence[str] = RUNTIMES) -> Options:
    """The options of measurements beside other runtimes."""
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    known = ", ".join((*NETWORKS, *INT8))
    parser.add_argument("networks", nargs="*", help=f"some of {known} (default: those in float32)")
    parser.add_argument("--layers", action="store_true", help="single layers instead")
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--only", nargs="+", choices=runtimes, help="runtimes (default: all)")
    parser.add_argument("--python", nargs="+", default=[], help="other interpreters with runtimes")
    parser.add_argument(
        "--cache", type=Path, default=cache_folder(), help="folder of converted networks"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also save the numbers")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also save the tables")
    found = vars(parser.parse_args())
    layers = found.pop("layers")
    if unknown := set(found["networks"]) - {*NETWORKS, *INT8, *LAYERS}:
        parser.error(f"unknown network {', '.join(sorted(unknown))}")
    found["networks"] = found["networks"] or list(LAYERS if layers else NETWORKS)
    found["only"] = found["only"] or list(runtimes[:2] if layers else runtimes)
    found["python"] = [sys.executable, *found["python"]]
    return Options(**found)


def cache_folder() -> Path:
    """Where converted networks are kept unless told otherwise."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "penjing" / "benchmarks"


if __name__ == "__main__":
    main()
