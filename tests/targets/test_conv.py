"""The order in which convolutions meet their panels of weights and their positions."""

from typing import Any

import pytest
import torch
from torch import nn

import penjing
from penjing.compiler.lowering.lower import lower
from penjing.compiler.lowering.options import KernelOptions
from penjing.compiler.pass_manager import optimize
from penjing.passes.pipeline import CPU_PIPELINE
from penjing.targets.cpu import conv, conv_parts


def orders(
    monkeypatch: pytest.MonkeyPatch, model: nn.Module, *shape: int
) -> list[tuple[int, bool]]:
    """Elements of the image, and whether panels are outside, for each convolution of a model."""
    found: list[tuple[int, bool]] = []

    def note(stage: Any, *args: Any, **options: Any) -> bool:
        outside = decide(stage, *args, **options)
        found.append((conv._image_size(stage), outside))
        return outside

    decide = conv.panels_outside
    monkeypatch.setattr(conv, "panels_outside", note)
    monkeypatch.setattr(conv_parts, "panels_outside", note)
    program = optimize(penjing.trace(model.eval(), (torch.randn(shape),)), list(CPU_PIPELINE))
    options = KernelOptions(winograd=0)
    lower(program, penjing.targets.get("arm-a72"), name="net", options=options)
    return found


@pytest.mark.parametrize(
    ("model", "shape", "outside"),
    [
        (nn.Conv2d(64, 128, 3, 2, 1), (1, 64, 56, 56), False),  # a large image, few weights
        (nn.Conv2d(256, 512, 3, 2, 1), (1, 256, 14, 14), True),  # a small one, many
        (nn.Conv2d(64, 64, 3, 1, 1, groups=4), (1, 64, 28, 28), True),  # each group reads its own
        (nn.ConvTranspose2d(64, 32, 4, 2, 1), (1, 64, 28, 28), True),
        (nn.Conv2d(8, 8, 3, 1, 1), (1, 8, 112, 112), False),  # the weights stay in the cache
    ],
    ids=str,
)
def test_the_larger_operand_is_read_once(
    monkeypatch: pytest.MonkeyPatch, model: nn.Module, shape: tuple[int, ...], outside: bool
) -> None:
    assert [order for _, order in orders(monkeypatch, model, *shape)] == [outside]


def test_an_image_has_no_element_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taps that overlap are one axis of the view, and are counted once."""
    image = 64 * 58 * 58
    ((size, _),) = orders(monkeypatch, nn.Conv2d(64, 128, 3, 2, 1), 1, 64, 56, 56)
    assert 0.9 * image < size <= image
