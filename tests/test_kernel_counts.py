"""benchmarks/kernels.json is true: reviewers see there what a change does to every kernel."""

import json

import pytest

from benchmarks import kernels
from benchmarks.networks import NETWORKS


@pytest.mark.qemu
@pytest.mark.parametrize("name", ["ds_cnn", "resnet8"])
def test_kernels_execute_what_was_reviewed(name: str) -> None:
    reviewed = json.loads(kernels.FILE.read_text())[name]
    command = f"python -m benchmarks.kernels {name}"
    assert kernels.kernel_counts(name) == reviewed, f"if that is meant: {command}"


def test_the_file_of_kernels_is_as_it_is_written() -> None:
    text = kernels.FILE.read_text()
    assert kernels.as_text(json.loads(text)) == text
    assert list(json.loads(text)) == sorted(NETWORKS)
