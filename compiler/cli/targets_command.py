"""`penjing targets`."""

import json
from argparse import Namespace
from dataclasses import asdict

from ...targets import KiB, Target, get, names, runs_here


def run(options: Namespace) -> None:
    """List the known targets."""
    targets = [get(name) for name in names()]
    if options.json:
        rows = [{**asdict(target), "runs_here": runs_here(target)} for target in targets]
        print(json.dumps(rows, indent=1))
        return
    print(f"{'name':<14} {'vectors':<8} {'L1D':>7} {'L2':>8}  {'runs':<13} features")
    for target in targets:
        print(_row(target))


def _row(target: Target) -> str:
    vectors = f"{target.simd_registers}x{target.simd_bits}"
    l1d, l2 = f"{target.l1d_bytes // KiB} KiB", f"{target.l2_bytes // KiB} KiB"
    runs = "here" if runs_here(target) else target.qemu or "elsewhere"
    features = " ".join((target.llvm_cpu, *target.features))
    return f"{target.name:<14} {vectors:<8} {l1d:>7} {l2:>8}  {runs:<13} {features}"
