"""Tests on emulated boards need an emulator of boards and their compiler."""

import pytest

from ..installed_tools import need_for_qemu


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `qemu` where the emulator or the compiler of boards is missing."""
    need_for_qemu(item, ("qemu-system-arm", "arm-none-eabi-gcc"))
