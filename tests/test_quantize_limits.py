"""How the range of integers follows from what was observed."""

import pytest
import torch
from torch import Tensor, nn

from penjing.compiler.batches import as_batches
from penjing.compiler.frontend.trace import trace
from penjing.passes.quantizing.limits import _LIMITS, Observer, limits
from penjing.passes.quantizing.observe import BINS, Observation, observe


def observation(values: Tensor) -> Observation:
    seen = Observation.of(float(values.min()), float(values.max()))
    seen.counts = torch.histc(values, BINS, seen.low, seen.high).double()
    return seen


def values_with_outlier(outlier: float = 40.0) -> Tensor:
    values = torch.randn(300_000, generator=torch.Generator().manual_seed(0))
    values[0] = outlier
    return values


def squared_error(values: Tensor, ends: tuple[float, float], levels: int) -> float:
    step = (ends[1] - ends[0]) / (levels - 1)
    rounded = torch.round(values.clamp(*ends) / step) * step
    return float((rounded - values).square().mean())


def test_moving_average_forgets() -> None:
    program = trace(nn.ReLU(), (torch.zeros(1, 2),))
    data = [torch.tensor([[1.0, -1.0]]), torch.tensor([[5.0, 0.0]])]
    node = program.input_nodes[0]
    batches = as_batches(program, data)
    seen = observe(program, batches, [node], lambda done: None, histograms=True)[node]
    assert limits(seen, "min-max", 256) == (-1.0, 5.0)
    assert limits(seen, "moving-average", 256) == pytest.approx((-0.9, 1.4))
    assert seen.counts.sum() == 4
    assert seen.counts[[0, -1]].tolist() == [1, 1]


def test_percentile_leaves_the_rarest_out() -> None:
    low, high = limits(observation(values_with_outlier()), "percentile", 256)
    assert 4 < high < 6
    assert -6 < low < -4


@pytest.mark.parametrize("levels", [16, 256])
def test_least_squares_has_the_least_error(levels: int) -> None:
    values = values_with_outlier(8.0)
    seen = observation(values)
    found = squared_error(values, limits(seen, "mse", levels), levels)
    for observer in _LIMITS:
        other = limits(seen, observer, levels)  # type: ignore[arg-type]
        assert found < 1.02 * squared_error(values, other, levels)


def test_entropy_clamps_outliers_and_keeps_even_distributions() -> None:
    assert limits(observation(values_with_outlier()), "entropy", 256)[1] < 20
    even = torch.rand(100_000, generator=torch.Generator().manual_seed(0))
    assert limits(observation(even), "entropy", 256)[1] > 0.9


@pytest.mark.parametrize("observer", sorted(_LIMITS))
def test_zero_is_in_every_range(observer: Observer) -> None:
    values = torch.rand(1000, generator=torch.Generator().manual_seed(0)) + 3
    low, high = limits(observation(values), observer, 256)
    assert low == 0
    assert 3 < high <= 4
    low, high = limits(observation(-values), observer, 256)
    assert high == 0
    assert -4 <= low < -3
