"""What stands between two layers decides what of them can be pruned."""

import pytest
import torch

from tests.coupling.functions import BETWEEN
from tests.coupling.harness import assert_pruned_like_masked, prune_randomly, reasons, traced


@pytest.mark.parametrize("name", BETWEEN)
def test_units_of_the_first_layer(name: str) -> None:
    torch.manual_seed(0)
    between = BETWEEN[name]
    model, inputs = between.model()
    program, flat = traced(model.eval(), inputs)
    pruned = prune_randomly(program, 0.5)
    first = [group.size for group in pruned.coupling.groups if group.name.startswith("first")]
    assert sum(first) == between.units
    if not between.units:
        assert reasons(pruned.coupling)["first"] == between.reason
    assert_pruned_like_masked(pruned, flat)


def test_the_units_of_a_group_can_be_dropped_one_by_one() -> None:
    torch.manual_seed(0)
    model, inputs = BETWEEN["grouped, wide groups"].model()
    program, flat = traced(model.eval(), inputs)
    for seed in range(6):
        assert_pruned_like_masked(prune_randomly(program, 0.01, seed=seed), flat)
        assert_pruned_like_masked(prune_randomly(program, 0.99, seed=seed), flat)
