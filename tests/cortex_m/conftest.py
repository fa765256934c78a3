"""Tests on emulated boards are skipped where their tools are missing; in CI they fail."""

import os
import shutil

import pytest

TOOLS = ("qemu-system-arm", "arm-none-eabi-gcc")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `qemu` where the emulator or the compiler of boards is missing."""
    missing = [name for name in TOOLS if shutil.which(name) is None]
    if missing and item.get_closest_marker("qemu"):
        reason = f"{' and '.join(missing)} not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
