"""`penjing targets`."""

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import asdict

from ...targets import (
    KiB,
    Microcontroller,
    MobileGpu,
    Target,
    UnsupportedHost,
    get,
    names,
    runs_here,
)


def run(options: Namespace) -> None:
    """List the known targets."""
    targets = list(_known())
    small = [target for target in targets if isinstance(target, Microcontroller)]
    gpus = [target for target in targets if isinstance(target, MobileGpu)]
    if options.json:
        rows = [{**asdict(target), "runs_here": runs_here(target)} for target in targets]
        print(json.dumps(rows, indent=1))
        return
    print(f"{'name':<14} {'vectors':<8} {'L1D':>7} {'L2':>8}  {'runs':<13} features")
    for target in targets:
        if not isinstance(target, Microcontroller | MobileGpu):
            print(_row(target))
    print(
        "\nmobile GPUs, for which models become OpenCL libraries (name,cpu=TARGET for another CPU)"
    )
    print(f"{'name':<14} {'CPU':<12} {'stores':<8} {'GFLOPS':>7} {'GB/s':>6}")
    for target in gpus:
        print(_gpu_row(target))
    print("\nmicrocontrollers, for which models become C files")
    print(f"{'name':<20} {'flash':>9} {'RAM':>9}  {'runs':<11} core and instructions")
    for target in small:
        print(_small_row(target))


def _known() -> Iterator[Target]:
    for name in names():
        try:
            yield get(name)
        except UnsupportedHost as error:
            print(error, file=sys.stderr)


def _gpu_row(target: MobileGpu) -> str:
    stores = "float16" if target.half_storage else "float32"
    peaks = (target.gflops, target.bandwidth)
    gflops, bandwidth = (f"{peak:g}" if peak else "any" for peak in peaks)
    return f"{target.name:<14} {target.cpu:<12} {stores:<8} {gflops:>7} {bandwidth:>6}"


def _small_row(target: Microcontroller) -> str:
    sizes = (target.flash_bytes, target.ram_bytes)
    flash, ram = (f"{size // KiB} KiB" if size else "any" for size in sizes)
    has = (("DSP", target.has_dsp), ("MVE", target.has_mve), ("float32", target.has_fpu))
    features = " ".join((target.llvm_cpu, *(name for name, there in has if there)))
    return f"{target.name:<20} {flash:>9} {ram:>9}  {target.qemu_board:<11} {features}"


def _row(target: Target) -> str:
    vectors = f"{target.simd_registers}x{target.simd_bits}"
    l1d, l2 = f"{target.l1d_bytes // KiB} KiB", f"{target.l2_bytes // KiB} KiB"
    runs = "here" if runs_here(target) else target.qemu or "elsewhere"
    features = " ".join((target.llvm_cpu, *target.features))
    return f"{target.name:<14} {vectors:<8} {l1d:>7} {l2:>8}  {runs:<13} {features}"
