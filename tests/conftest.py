"""Tests that need a tool which is not installed are skipped; in CI they fail."""

import os
import shutil

import pytest

EMULATORS = ("qemu-aarch64", "qemu-arm")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `qemu` where the emulators are missing."""
    missing = [name for name in EMULATORS if shutil.which(name) is None]
    if missing and item.get_closest_marker("qemu"):
        reason = f"{' and '.join(missing)} not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
