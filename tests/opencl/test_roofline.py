"""The least time of launches by a GPU's peak numbers."""

from dataclasses import replace

import pytest

from penjing.compiler.roofline import estimate_launch, estimate_launches, intensity
from penjing.targets.mobile_gpus import MALI_G7X, OPENCL
from penjing.targets.opencl.kernel import Launch

GPU = replace(
    MALI_G7X,
    gflops=100.0,
    half_gflops=200.0,
    bandwidth=10.0,
    launch_microseconds=5.0,
    wave=16,
    compute_units=4,
)
LAUNCH = Launch(function="k", arguments=(), items=(1024, 1, 1), operations=2_000_000, bytes=100_000)


def test_arithmetic_bounds_a_product() -> None:
    estimate = estimate_launch(LAUNCH, GPU)  # 20 us of arithmetic, 10 us of memory, 5 us to launch
    assert estimate.bound == "arithmetic"
    assert estimate.microseconds == pytest.approx(25)


def test_half_sums_leave_memory_as_the_bound() -> None:
    estimate = estimate_launch(replace(LAUNCH, operations=1_000_000), GPU, half=True)
    assert estimate.bound == "memory"
    assert estimate.microseconds == pytest.approx(15)


def test_few_work_items_leave_units_idle() -> None:
    assert estimate_launch(replace(LAUNCH, items=(16, 1, 1)), GPU).microseconds == pytest.approx(85)


def test_what_is_small_waits_for_its_launch() -> None:
    small = replace(LAUNCH, operations=100, bytes=1000)
    assert estimate_launch(small, GPU).bound == "launch"


def test_launches_follow_each_other() -> None:
    assert estimate_launches([LAUNCH, LAUNCH], GPU) == pytest.approx(0.05)
    assert intensity([LAUNCH, LAUNCH]) == pytest.approx(20)
    assert intensity([]) == 0


def test_a_portable_target_has_no_estimate() -> None:
    with pytest.raises(ValueError, match="opencl has no peak numbers"):
        estimate_launch(LAUNCH, OPENCL)
