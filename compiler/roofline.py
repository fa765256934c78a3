"""What launches take at best on a GPU, by its peak numbers (Williams, Waterman, Patterson 2009).

A launch is bound by what it computes, by what it moves, or by being launched. The peaks are those
of a data sheet, so this is a model, never a measurement: it says which launches cannot be fast.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from ..targets.mobile_gpus import MobileGpu
from ..targets.opencl.kernel import Launch

LABEL = "estimate by peak numbers, not measured"


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The least time of something on a GPU, and what it would wait for."""

    microseconds: float
    bound: Literal["arithmetic", "memory", "launch"]


def estimate_launch(launch: Launch, gpu: MobileGpu, *, half: bool = False) -> Estimate:
    """The least time of one launch.

    Work-items that are fewer than the lanes of the GPU leave some of them idle: arithmetic then has
    the share of the compute units that get a wave.

    Args:
        launch: Its operations and bytes were counted when it was lowered.
        gpu: A GPU whose numbers are known.
        half: Whether sums are float16.

    Raises:
        ValueError: The GPU has no numbers: it stands for any device.
    """
    peak = gpu.half_gflops if half else gpu.gflops
    if not peak or not gpu.bandwidth:
        raise ValueError(f"{gpu.name} has no peak numbers")
    waves = -(-launch.items[0] * launch.items[1] * launch.items[2] // gpu.wave)
    busy = min(1.0, waves / gpu.compute_units)
    arithmetic = launch.operations / (peak * busy) / 1e3
    memory = launch.bytes / gpu.bandwidth / 1e3
    work = max(arithmetic, memory)
    if work <= gpu.launch_microseconds:
        return Estimate(microseconds=gpu.launch_microseconds + work, bound="launch")
    bound: Literal["arithmetic", "memory"] = "arithmetic" if arithmetic > memory else "memory"
    return Estimate(microseconds=gpu.launch_microseconds + work, bound=bound)


def estimate_launches(launches: Iterable[Launch], gpu: MobileGpu, *, half: bool = False) -> float:
    """Milliseconds of launches that run one after the other, at best."""
    times = [estimate_launch(launch, gpu, half=half).microseconds for launch in launches]
    return sum(times) / 1e3


def intensity(launches: Iterable[Launch]) -> float:
    """Operations for each byte that is moved; 0 if nothing is."""
    counts = [(launch.operations, launch.bytes) for launch in launches]
    moved = sum(count for _, count in counts)
    return sum(count for count, _ in counts) / moved if moved else 0.0
