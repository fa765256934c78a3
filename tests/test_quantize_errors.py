"""What Quantize cannot do is said of the node that it cannot do it with."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.pass_manager import optimize
from penjing.passes import Quantize, QuantizeWeights


class Scaled(nn.Module):
    """x times a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


def refusal(model: nn.Module, data: Any, **options: Any) -> CompileError:
    """What quantizing a model with data is refused with."""
    program = trace(model.eval(), (torch.ones(1, 4),))
    with pytest.raises(CompileError) as caught:
        optimize(program, [Quantize(**options)], calibration=data)
    return caught.value


def model(*between: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 4), *between, nn.Linear(4, 2))


def test_without_data() -> None:
    error = refusal(model(), None)
    assert "quantize needs calibration data" in error.what
    assert "calibration=" in error.fix


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_data_that_is_no_number(bad: float) -> None:
    error = refusal(model(), [torch.ones(1, 4), torch.tensor([[1.0, bad, 0, 0]])])
    assert "NaN or infinity" in error.what
    assert "batch 1" in error.at


def test_values_that_overflow() -> None:
    error = refusal(model(Scaled(3e38), Scaled(3e38)), [torch.ones(1, 4)])
    assert "infinite or not a number on the calibration data" in error.what
    assert "(Scaled)" in error.at
    assert "aten.mul" in error.got


def test_values_that_are_always_zero() -> None:
    layer = nn.Linear(4, 4)
    layer.bias.data -= 100
    error = refusal(model(layer, nn.ReLU()), [torch.ones(1, 4)])
    assert "always 0" in error.what
    assert error.at.startswith("2 (ReLU)")
    assert "aten.relu" in error.got


def test_values_that_are_always_the_same_are_exact() -> None:
    program = trace(model().eval(), (torch.ones(1, 4),))
    changed = optimize(program, [Quantize()], calibration=[torch.full((1, 4), 3.7)])
    (scale, zero_point), *_ = changed.reports[-1].details["ranges"].values()
    assert scale * (127 - zero_point) == pytest.approx(3.7)


def test_steps_out_of_range() -> None:
    layer = nn.Linear(4, 4)
    layer.weight.data = torch.eye(4)
    layer.bias.data.zero_()
    net = nn.Sequential(layer, Scaled(1e-44), nn.Linear(4, 2))
    error = refusal(net, [torch.tensor([[9.0, -9.0, 1.0, 1.0]])], equalize=False)
    assert "a step is out of the range of float32" in error.what
    assert "(Scaled)" in error.at
    assert "values in [" in error.got


@pytest.mark.parametrize("bits", [0, 1, 9, 16, 32])
def test_widths_of_integers(bits: int) -> None:
    for option in ("weight_bits", "activation_bits"):
        error = refusal(model(), [torch.ones(1, 4)], **{option: bits})
        assert f"{option} must be 2 to 8" in error.what
        assert error.got == f"{option}={bits}"


@pytest.mark.parametrize("bits", [2, 3, 5, 16])
def test_widths_of_stored_weights(bits: int) -> None:
    program = trace(model().eval(), (torch.ones(1, 4),))
    with pytest.raises(CompileError, match="bits must be 4 or 8"):
        optimize(program, [QuantizeWeights(bits=bits)])


def test_weights_that_are_no_numbers() -> None:
    net = model()
    next(net[1].parameters()).data[0, 0] = torch.nan
    error = refusal(net, [torch.ones(1, 4)], equalize=False, smooth=False)
    assert "a weight is infinite or not a number" in error.what
    assert error.at.startswith("1 (Linear)")


class Doubled(nn.Module):
    """x times a constant tensor: nothing to quantize, but something to make canonical."""

    two: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("two", torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x * self.two)


@pytest.mark.parametrize("name", ["quantize", "quantize-dynamic", "quantize-weights"])
def test_nothing_to_quantize(name: str) -> None:
    x = torch.randn(1, 4)
    program = trace(Doubled(), (x,))
    for _ in range(2):
        program = optimize(program, [name], calibration=[x])
        torch.testing.assert_close(program.run(x), Doubled()(x), atol=0.05, rtol=0)
