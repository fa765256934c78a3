"""Times of one inference on OpenCL and Vulkan devices of this machine, as shares of each other.

No phone is at hand: what can be compared is what several make of the same device. All get the same
core, one after the other in turns, and CPU time counts, that of all their threads. The device of
OpenCL is the first one, or that of $PENJING_DEVICE (part of its name).

- penjing-opencl: the library for GPUs, on the device
- penjing-fallback: the same library on the CPU
- penjing: the library for this CPU, with all that it has
- tvm-opencl: TVM's default schedules for mobile GPUs, on the device
- ncnn-vulkan: on the first Vulkan device, in float32
"""

import os
import subprocess
import sys
import tarfile
import tempfile
from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from .peers import ROOT, Peer, prepare, runtime_version
from .table import Row

_OWN = "penjing-opencl"
_SLOW_NS = 1e9  # of an inference: a round has one then, and one round has to do
_TURN_NS = 60e6


def measure(network: str, options: Namespace) -> list[Row]:
    """One row for each runtime: its time, and by how much it is slower than ours."""
    with _checked_out(options.against) as before:
        roots = dict.fromkeys(options.only, ROOT)
        if before is not None:
            roots[f"{_OWN} of {options.against}"] = before
        rows: dict[str, Row] = {}
        peers: dict[str, Peer] = {}
        for name, root in roots.items():
            rows[name], peer = _start(name, network, options, root)
            if peer is not None:
                peers[name] = peer
        for name, time in _take_turns(peers, options.rounds).items():
            rows[name]["cpu ms"] = time / 1e6
        for peer in peers.values():
            peer.close()
    own = rows.get(_OWN, {}).get("cpu ms")
    for row in rows.values():
        row["of ours"] = row["cpu ms"] / own if own and row["cpu ms"] else None
    return list(rows.values())


def _start(name: str, network: str, options: Namespace, root: Path) -> tuple[Row, Peer | None]:
    """A row without a time, and the process that has loaded the network."""
    runtime, pythons = name.split()[0], [sys.executable, *options.python]
    row: Row = {"network": network, "runtime": name, "version": "", "cpu ms": None}
    row |= {"of ours": None, "error": None, "refused": ""}
    row["version"] = runtime_version(runtime, pythons)
    cache = options.cache if root == ROOT else root / "build" / "benchmarks"
    folder, row["refused"] = prepare(runtime, network, 1, cache, pythons, root)
    if row["refused"]:
        return row, None
    cores = sorted(os.sched_getaffinity(0))[-1:]
    peer = Peer(runtime, folder, 1, cores, pythons, root)
    row |= {key: peer.facts[key] for key in ("error", "refused") if key in peer.facts}
    if row["refused"]:
        peer.close()
        return row, None
    return row, peer


def _take_turns(peers: dict[str, Peer], rounds: int) -> dict[str, float]:
    """The least CPU time of an inference, in nanoseconds."""
    times = {name: float(peer.run(1)["cpu"]) for name, peer in peers.items()}
    quick = {name: peer for name, peer in peers.items() if times[name] < _SLOW_NS}
    for _ in range(rounds):
        for name, peer in quick.items():
            count = max(1, min(50, round(_TURN_NS / times[name])))
            times[name] = min(times[name], peer.run(count)["cpu"])
    return times


@contextmanager
def _checked_out(commit: str | None) -> Iterator[Path | None]:
    """A folder with the files of a commit."""
    if commit is None:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="penjing-commit-") as folder:
        command = ["git", "archive", commit]
        archive = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
        with tarfile.open(fileobj=BytesIO(archive)) as files:
            files.extractall(folder)
        yield Path(folder)
