"""Tests that need a tool which is not installed are skipped; in CI they fail.

Hypothesis draws the same examples in every run, so that a green run stays green; to look for new
ones: pytest --hypothesis-profile=search.
"""

import os
import shutil

import pytest
from hypothesis import settings

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, max_examples=200)
settings.load_profile("same")

EMULATORS = ("qemu-aarch64", "qemu-arm")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `qemu` where the emulators are missing."""
    missing = [name for name in EMULATORS if shutil.which(name) is None]
    if missing and item.get_closest_marker("qemu"):
        reason = f"{' and '.join(missing)} not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
