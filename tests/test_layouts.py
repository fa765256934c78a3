"""How images are stored: who gets which layout, what needs no kernel, and right results."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import penjing
from penjing.compiler.ir.layout import Layout, common_layout
from penjing.compiler.lowering.lower import lower
from penjing.compiler.lowering.program import Lowered
from penjing.passes.pipeline import CPU_PIPELINE
from tests.support import random_inputs


class Given(nn.Module):
    """A function of some modules and the inputs."""

    def __init__(self, function: Callable[..., object], *modules: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList(modules)
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> object:
        return self.function(*self.parts, *inputs)


def _lowered(model: nn.Module, *shape: int, target: str = "arm-a72") -> Lowered:
    traced = penjing.trace(model.eval(), random_inputs(*shape))
    program = penjing.optimize(traced, CPU_PIPELINE)
    return lower(program, penjing.targets.get(target), name="net")


def _ops(lowered: Lowered) -> list[str]:
    """The first operator of each call, without its namespace."""
    return [call.ops[0].removeprefix("aten.").partition(".")[0] for call in lowered.calls]


def _conv(inputs: int, outputs: int, taps: int = 1, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, taps, **options)


class TestLayout:
    LAYOUT = Layout((1, 2), (3, 0), -1.0)

    def test_places(self) -> None:
        shape = (2, 5, 4, 6)
        assert self.LAYOUT.storage(shape) == (2, 8, 8, 5)
        assert self.LAYOUT.strides(shape) == (320, 40, 5, 1)
        assert self.LAYOUT.offset(shape) == 40 + 2 * 5
        assert str(self.LAYOUT) == "channels last, border 1+3,2+0 of -1"

    def test_plain(self) -> None:
        none = Layout.without_border(4)
        assert none.is_plain((3, 7, 1, 1))
        assert none.is_plain((3, 1, 5, 5))
        assert not none.is_plain((3, 7, 1, 2))
        assert not self.LAYOUT.is_plain((1, 1, 4, 4))

    def test_covers(self) -> None:
        assert self.LAYOUT.covers(Layout.without_border(4))
        assert self.LAYOUT.covers(Layout((1, 1), (2, 0), -1.0))
        assert not self.LAYOUT.covers(Layout((1, 1), (2, 0), 0.0))
        assert not self.LAYOUT.covers(Layout((2, 0), (0, 0), -1.0))

    def test_common(self) -> None:
        zero, more = Layout((1, 0), (1, 0)), Layout((0, 2), (0, 1))
        assert common_layout([zero, Layout.without_border(4), more]) == Layout((1, 2), (1, 1))
        low = Layout((1, 1), (1, 1), float("-inf"))
        assert common_layout([low, zero, more]) == Layout((1, 2), (1, 1)), "more want zeros"
        assert common_layout([low, zero]) == low, "the first of as many"


class TestChoice:
    def test_one_border_for_all_readers(self) -> None:
        model = Given(
            lambda a, b, c, x: b(y := a(x)) + c(y),
            _conv(8, 8),
            _conv(8, 8, 3, padding=1),
            _conv(8, 8, 5, padding=2),
        )
        lowered = _lowered(model, 1, 8, 9, 9)
        assert lowered.values[lowered.calls[1].writes[0]].spec.shape[1:] == (13, 13, 8)
        assert _ops(lowered).count("border") == 1

    def test_returned_images_are_plain(self) -> None:
        lowered = _lowered(nn.Sequential(_conv(8, 8), _conv(8, 6)), 1, 8, 9, 9)
        assert lowered.values[lowered.outputs[0]].spec.shape == (1, 6, 9, 9)

    def test_input_is_copied_once(self) -> None:
        model = Given(lambda a, b, x: a(x) + b(x), _conv(8, 8, 3, padding=1), _conv(8, 8))
        assert _ops(_lowered(model, 1, 8, 9, 9)).count("channels last") == 1

    def test_pooled_vectors_are_aliases(self) -> None:
        pool = nn.Sequential(_conv(8, 8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
        assert "reshape" not in _ops(_lowered(pool, 2, 8, 5, 5))


class TestAliases:
    def test_rows_of_channels(self) -> None:
        norm = Given(lambda c, n, x: n(c(x).permute(0, 2, 3, 1)), _conv(3, 24, 4), nn.LayerNorm(24))
        assert "permute" not in _ops(_lowered(norm, 1, 3, 16, 16))

    def test_patches(self) -> None:
        model = Given(
            lambda c, f, x: f(c(x).flatten(2).transpose(1, 2)), _conv(3, 24, 4), nn.Linear(24, 8)
        )
        assert not {"permute", "reshape"} & set(_ops(_lowered(model, 1, 3, 16, 16)))

    def test_tokens_as_images(self) -> None:
        model = Given(
            lambda f, c, x: c(f(x).transpose(1, 2).reshape(-1, 8, 4, 5)),
            nn.Linear(6, 8),
            _conv(8, 9),
        )
        assert not {"permute", "reshape", "channels last"} & set(_ops(_lowered(model, 1, 20, 6)))

    def test_images_with_a_border_are_copied(self) -> None:
        model = Given(
            lambda a, b, n, x: (b(y := a(x)), n(y.permute(0, 2, 3, 1))),
            _conv(3, 8),
            _conv(8, 8, 3, padding=1),
            nn.LayerNorm(8),
        )
        assert "permute" in [
            op for call in _lowered(model, 1, 3, 9, 9).calls for op in _names(call)
        ]


def _names(call: penjing.compiler.lowering.program.Call) -> list[str]:
    return [op.removeprefix("aten.").partition(".")[0] for op in call.ops]


def _shuffle(x: torch.Tensor) -> torch.Tensor:
    n, c, h, w = x.shape
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


MODELS: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
    "asymmetric padding": (
        nn.Sequential(
            _conv(5, 7), nn.ZeroPad2d((0, 1, 2, 0)), nn.Conv2d(7, 6, (2, 3), padding="same")
        ),
        (2, 5, 9, 8),
    ),
    "dilation and stride": (
        nn.Sequential(_conv(6, 10, 3, padding=2, dilation=2), _conv(10, 7, 3, stride=2, padding=1)),
        (1, 6, 13, 11),
    ),
    "conflicting fills": (
        Given(
            lambda a, b, c, x: b(y := a(x)) + c(y),
            _conv(3, 9),
            _conv(9, 9, 3, padding=1),
            nn.MaxPool2d(3, 1, 1),
        ),
        (2, 3, 10, 7),
    ),
    "pools with ceil_mode": (
        Given(
            lambda a, b, c, x: (b(y := a(x)), c(y)),
            _conv(3, 9),
            nn.MaxPool2d(3, 2, 1, ceil_mode=True),
            nn.AvgPool2d(3, 2, 1, ceil_mode=True),
        ),
        (1, 3, 8, 8),
    ),
    "read by others too": (
        Given(
            lambda a, b, x: (b(y := a(x)), y.sum((2, 3)), y.mean(1), y), _conv(3, 9), _conv(9, 4, 3)
        ),
        (1, 3, 8, 8),
    ),
    "concatenated parts": (
        Given(
            lambda a, b, c, x: c(_shuffle(torch.cat([a(x), b(x).flip(3)[:, 1:]], 1))),
            _conv(3, 7),
            _conv(3, 8, 3, padding=1),
            _conv(14, 5, 3, padding=1),
        ),
        (2, 3, 6, 7),
    ),
    "tokens and images": (
        Given(
            lambda a, f, b, x: b(
                f(a(x).flatten(2).transpose(1, 2)).transpose(1, 2).reshape(-1, 8, 4, 4)
            ),
            _conv(3, 6, 2, stride=2),
            nn.Linear(6, 8),
            _conv(8, 5, 3, padding=1),
        ),
        (2, 3, 8, 8),
    ),
    "channels last models": (
        Given(
            lambda a, n, f, b, x: b(F.gelu(f(n(a(x).permute(0, 2, 3, 1)))).permute(0, 3, 1, 2)),
            _conv(3, 8, 3, padding=1),
            nn.LayerNorm(8),
            nn.Linear(8, 12),
            _conv(12, 5),
        ),
        (2, 3, 6, 5),
    ),
    "signals": (
        nn.Sequential(nn.Conv1d(3, 9, 3, padding=1), nn.GELU(), nn.Conv1d(9, 5, 4, 2, 1)),
        (2, 3, 19),
    ),
    "volumes": (nn.Sequential(nn.Conv3d(2, 5, 3, padding=1), nn.MaxPool3d(2)), (1, 2, 4, 6, 5)),
}


@pytest.mark.qemu
@pytest.mark.parametrize("target", ["host", "arm-a72"])
@pytest.mark.parametrize("name", MODELS)
def test_models(name: str, target: str) -> None:
    model, shape = MODELS[name]
    torch.manual_seed(0)
    inputs = random_inputs(*shape)
    artifact = penjing.compile(model.eval(), inputs, target=target)
    with torch.no_grad():
        wanted = model(*inputs)
    outputs = wanted if isinstance(wanted, tuple) else (wanted,)
    for got, expected in zip(artifact.run(*inputs), outputs, strict=True):
        np.testing.assert_allclose(got, expected.numpy(), rtol=1e-4, atol=2e-5)
