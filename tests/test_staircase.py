"""Where the steps of the kernels are, and that PruneChannels knows them."""

import json
from pathlib import Path

import pytest

from benchmarks.staircase import LAYERS, climb

ROOT = Path(__file__).parents[1]
SAVED = json.loads((ROOT / "benchmarks" / "results" / "staircase.json").read_text())


@pytest.mark.qemu
def test_more_channels_can_execute_fewer_instructions() -> None:
    odd, even = climb("depthwise 3x3", (31, 32), "arm-a72")
    assert even["macs"] > odd["macs"]
    assert even["instructions"] < odd["instructions"]
    assert even["estimate"] < odd["estimate"]
    assert even["estimate"] == pytest.approx(even["instructions"], rel=0.15)


def test_estimates_are_near_the_counts() -> None:
    for row in SAVED:
        assert row["estimate"] == pytest.approx(row["instructions"], rel=0.12)


@pytest.mark.parametrize("layer", LAYERS)
def test_whole_vectors_cost_least_per_multiply_add(layer: str) -> None:
    cost = {row["channels"]: row["per mac"] for row in SAVED if row["layer"] == layer}
    for edge in (28, 32, 36):
        assert cost[edge] < min(cost[edge - 1], cost[edge + 1])


def test_the_page_shows_what_was_counted() -> None:
    page = (ROOT / "docs" / "pruning.md").read_text()
    head, *lines = [line for line in page.splitlines() if line.startswith("| ")][5:10]
    counts = [int(cell) for cell in head.strip("| ").split(" | ")[1:]]
    for layer, line in zip(LAYERS, lines, strict=True):
        shown = [int(cell) for cell in line.strip("| ").split(" | ")[1:]]
        counted = {r["channels"]: r["instructions"] for r in SAVED if r["layer"] == layer}
        assert shown == [round(counted[count] / 1000) for count in counts]
