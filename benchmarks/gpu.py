"""What libraries for GPUs launch, move and keep, and how fast they are on devices of this machine.

python -m benchmarks.gpu [NETWORK ...] [--target TARGET ...] [--time] [--only RUNTIME ...]
                         [--against COMMIT] [--python PATH ...] [--json FILE]

Counts are exact: launches, multiply-adds, bytes that launches read and write at least once, the
most that one work-item declares, the fewest work-items of a product, the arena beside the bound of
any plan, the size of the library. `at best` is an estimate by the peak numbers of one chip, not a
measurement (compiler/roofline.py).

With --time the networks also run here, in turns: benchmarks/gpu_times.py.
"""

from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from pathlib import Path

import penjing
from penjing.compiler.roofline import LABEL, estimate_launches, intensity
from penjing.targets import MobileGpu

from .cpu import cache_folder
from .gpu_times import measure
from .networks import INT8, NETWORKS, build
from .peers import GPU_RUNTIMES
from .table import Row, publish, save

_TARGETS = ("opencl", "adreno-6xx", "adreno-7xx", "mali-g5x", "mali-g7x")


def main() -> None:
    """Count, and measure if asked to."""
    options = _parse()
    rows = [count(network, target) for network in options.networks for target in options.target]
    if rows:
        publish(rows, options.json)
        print(f"\nat best ms: {LABEL}\n")
    if options.time:
        times = [row for network in options.networks for row in measure(network, options)]
        publish(times, None)
        save([*rows, *times], options.json)


def count(network: str, target: str) -> Row:
    """What one network is on one GPU."""
    model, inputs = build(network)
    artifact = penjing.compile(model, inputs, target=target)
    launches = [launch for call in artifact.manifest.calls for launch in call.launches]
    sizes, gpu = artifact.manifest.sizes, artifact.manifest.target
    assert isinstance(gpu, MobileGpu)
    source = artifact.folder / f"{artifact.manifest.name}.cl"
    return {
        "network": network,
        "target": target,
        "launches": len(launches),
        "M operations": sum(launch.operations for launch in launches) / 1e6,
        "MB moved": sum(launch.bytes for launch in launches) / 1e6,
        "operations per byte": intensity(launches),
        "private bytes": max(launch.private_bytes for launch in launches),
        "arena MB": sizes.arena_bytes / 1e6,
        "of bound": sizes.arena_bytes / max(1, sizes.arena_lower_bound_bytes),
        "library MB": sizes.library_bytes / 1e6,
        "source KB": source.stat().st_size / 1e3,
        "at best ms": estimate_launches(launches, gpu) if gpu.gflops else None,
    }


def _parse() -> Namespace:
    parser = ArgumentParser(description=__doc__, formatter_class=RawDescriptionHelpFormatter)
    known = ", ".join((*NETWORKS, *INT8))
    parser.add_argument("networks", nargs="*", help=f"some of {known} (default: mobilenet_v2)")
    parser.add_argument("--target", nargs="*", default=_TARGETS, help="GPUs to count for, or none")
    parser.add_argument("--time", action="store_true", help="also measure on this machine")
    parser.add_argument("--only", nargs="+", choices=GPU_RUNTIMES, default=GPU_RUNTIMES)
    parser.add_argument("--against", metavar="COMMIT", help="also measure this commit")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--python", nargs="+", default=[], help="other interpreters with runtimes")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="converted networks")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also save the numbers")
    options = parser.parse_args()
    if unknown := set(options.networks) - {*NETWORKS, *INT8}:
        parser.error(f"unknown network {', '.join(sorted(unknown))}")
    options.networks = options.networks or ["mobilenet_v2"]
    return options


if __name__ == "__main__":
    main()
