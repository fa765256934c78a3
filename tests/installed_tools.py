"""Tests that need a tool which is not installed are skipped; in CI they fail."""

import os
import shutil
from collections.abc import Sequence

import pytest


def need_for_qemu(item: pytest.Item, tools: Sequence[str]) -> None:
    """Skip a test that is marked `qemu` where one of these programs is missing."""
    missing = [name for name in tools if shutil.which(name) is None]
    if missing and item.get_closest_marker("qemu"):
        reason = f"{' and '.join(missing)} not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
