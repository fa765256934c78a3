"""Every test starts from the same random state, whichever ran before it in the same process.

Hypothesis draws the same examples in every run, so that a green run stays green; to look for new
ones: pytest --hypothesis-profile=search.
"""

import random

import numpy as np
import pytest
import torch
from hypothesis import settings

from .installed_tools import need_for_qemu

settings.register_profile("same", derandomize=True, deadline=None)
settings.register_profile("search", deadline=None, max_examples=200)
settings.load_profile("same")


@pytest.fixture(autouse=True)
def _same_random_numbers() -> None:
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what is marked `qemu` where the emulators are missing."""
    need_for_qemu(item, ("qemu-aarch64", "qemu-arm"))
