"""`penjing targets`."""

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict

from ...targets import KiB, Target, UnsupportedHost, get, names, runs_here


def run(options: Namespace) -> None:
    """List the known targets."""
    targets = list(_known())
    if options.json:
        rows = [{**asdict(target), "runs_here": runs_here(target)} for target in targets]
        print(json.dumps(rows, indent=1))
        return
    print(f"{'name':<14} {'vectors':<8} {'L1D':>7} {'L2':>8}  {'runs':<13} features")
    for target in targets:
        print(_row(target))


def _known() -> Iterator[Target]:
    for name in names():
        try:
            yield get(name)
        except UnsupportedHost as error:
            print(error, file=sys.stderr)


def _row(target: Target) -> str:
    vectors = f"{target.simd_registers}x{target.simd_bits}"
    l1d, l2 = f"{target.l1d_bytes // KiB} KiB", f"{target.l2_bytes // KiB} KiB"
    runs = "here" if runs_here(target) else target.qemu or "elsewhere"
    features = " ".join((target.llvm_cpu, *target.features))
    return f"{target.name:<14} {vectors:<8} {l1d:>7} {l2:>8}  {runs:<13} {features}"
