"""Seconds that compiling takes, by stage, and the sizes of the result.

python -m benchmarks.compile_time [NETWORK ...] [--target host ...] [--json FILE]
"""

import time

import penjing

from .networks import build
from .table import Row, parse_options, publish

STAGES = ("trace", "passes", "lower", "codegen", "link")


def main() -> None:
    """Measure every network once."""
    options = parse_options(__doc__, ["host"])
    publish(
        [measure(name, target) for name in options.networks for target in options.target],
        options.json,
    )


def measure(name: str, target: str) -> Row:
    """One row of the table: compile a network and take the time of each stage."""
    model, inputs = build(name)
    begins: dict[str, float] = {}
    seconds: dict[str, float] = {}

    def progress(stage: str, done: float) -> None:
        begins.setdefault(stage, time.perf_counter())
        seconds[stage] = time.perf_counter() - begins[stage]

    start = time.perf_counter()
    artifact = penjing.compile(model, inputs, target=target, progress=progress)
    total = time.perf_counter() - start
    return {
        "network": name,
        "target": target,
        **{f"{stage} s": seconds[stage] for stage in STAGES},
        "total s": total,
        "library bytes": artifact.report.library_bytes,
        "arena bytes": artifact.report.arena_bytes,
    }


if __name__ == "__main__":
    main()
