"""Instructions that one inference executes on ARM, counted exactly by the emulator.

python -m benchmarks.arm [NETWORK ...] [--target arm-a72] [--json FILE]

A count is no time: it does not see caches or stalls. But it is the same on every machine, and a
vector kernel that executes fewer instructions for the same work is rarely the slower one.
"""

import penjing

from .networks import build
from .table import Row, parse_options, publish


def main() -> None:
    """Count every network once."""
    options = parse_options(__doc__, target="arm-a72")
    publish([measure(name, options.target) for name in options.networks], options.json)


def measure(name: str, target: str) -> Row:
    """One row of the table: compile a network and count its instructions."""
    model, inputs = build(name)
    artifact = penjing.compile(model, inputs, target=target)
    instructions = artifact.count_instructions(*inputs)
    return {
        "network": name,
        "target": target,
        "macs": artifact.report.macs,
        "instructions": instructions,
        "instructions per mac": instructions / artifact.report.macs,
    }


if __name__ == "__main__":
    main()
