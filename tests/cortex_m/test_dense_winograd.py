"""3x3 convolutions of microcontrollers by exact tiles: bytes, memory, instructions, the option."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import penjing
from penjing.compiler.errors import CompileError
from penjing.passes import Quantize
from penjing.targets.cortex_m.dense_image import DenseImage
from penjing.targets.cortex_m.layer import Layer, NodeArguments, variants
from penjing.targets.cortex_m.winograd_layer import winograd_layers

from .dense_cases import Case, convolution
from .layer_runs import check_layer, core

_CASES: dict[str, Callable[[], Case]] = {
    "strips of 3, 1": lambda: convolution((4, 6), 8, 4),
    "strips of 3, 2, 1": lambda: convolution((4, 12), 12, 2),
    "extremes": lambda: convolution((4, 4), 16, 6, extreme=True),
    "least weights": lambda: convolution((4, 4), 16, 6, extreme=True, most_weight=128),
    "no border": lambda: convolution((6, 6), 8, 2, padding=(0, 0)),
    "wide border": lambda: convolution((6, 8), 4, 4, padding=(2, 0)),
    "many channels": lambda: convolution((4, 4), 88, 2),
    "limits": lambda: convolution((4, 4), 12, 2, low=-10, high=30),
    "ReLU at 0": lambda: convolution((4, 4), 12, 2, low=0, zero_point=0),
    "large scale": lambda: convolution((4, 4), 4, 2, scale=0.9),
}


def _tiled(node: NodeArguments) -> list[Layer]:
    image = DenseImage.of_convolution(node)
    assert image is not None
    return winograd_layers(node, image)


@pytest.mark.parametrize("name", _CASES)
def test_portable_bytes_are_those_of_pytorch(name: str) -> None:
    node, x, y = _CASES[name]()
    layers = _tiled(node)
    for layer in dict.fromkeys([layers[0], layers[-1]]):
        check_layer(node, layer, [x], y)


@pytest.mark.qemu
@pytest.mark.parametrize("name", _CASES)
def test_assembly_gives_the_same_bytes_on_a_board(name: str) -> None:
    node, x, y = _CASES[name]()
    m4 = core("cortex-m4")
    for layer in _tiled(node):
        counted = check_layer(node, layer, [x], y, on=m4)
        assert abs(layer.cost - counted) < 50 + 0.12 * counted


@pytest.mark.parametrize(
    "case",
    [
        lambda: convolution((5, 6), 8, 4),
        lambda: convolution((6, 6), 8, 3),
        lambda: convolution((6, 6), 6, 4),
        lambda: convolution((6, 6), 8, 4, stride=(2, 2)),
        lambda: convolution((6, 6), 8, 4, kernel=(1, 1), padding=(0, 0)),
        lambda: convolution((4, 4), 8, 4, most_bias=2**30, scale=0.1),
        lambda: convolution((4, 4), 8, 4, scale=0.01, shift=3),
    ],
)
def test_others_are_computed_directly(case: Callable[[], Case]) -> None:
    assert _tiled(case()[0]) == []


@pytest.mark.qemu
@pytest.mark.parametrize(("channels", "side", "most"), [(16, 32, 535), (32, 16, 418), (64, 8, 362)])
def test_instructions_for_a_product(channels: int, side: int, most: int) -> None:
    node, x, y = convolution((side, side), channels, channels)
    m4 = core("cortex-m4")
    counted = check_layer(node, _tiled(node)[0], [x], y, on=m4)
    assert 1000 * counted <= most * side * side * 9 * channels * channels


def test_only_cores_that_spend_flash_use_tiles() -> None:
    node = convolution((4, 6), 8, 4)[0]
    m4 = core("cortex-m4")
    plain, spending = variants(node, m4), variants(node, replace(m4, spends_flash=True))
    assert not any("Winograd" in layer.variant for layer in plain)
    assert spending[0].variant == "Winograd, 3 tiles"
    assert spending[0].constants[0].nbytes > 3 * plain[0].constants[0].nbytes


def test_the_option_of_compile() -> None:
    # the last layer is not where the arena is largest, so it may use more scratch memory
    large = [nn.Conv2d(4, 16, 1), nn.Conv2d(16, 8, 3, stride=2, padding=1)]
    model, x = nn.Sequential(*large, nn.Conv2d(8, 8, 3, padding=1)), torch.randn(1, 4, 16, 16)
    passes = [Quantize(outputs="integers")]
    program = penjing.optimize(penjing.trace(model.eval(), (x,)), passes, calibration=[x])

    def constants(tile: int | None) -> int:
        artifact = penjing.compile(program, target="cortex-m4", winograd=tile, certify=False)
        return artifact.manifest.sizes.weights_bytes

    assert constants(2) > constants(0) + 2 * 9 * 8 * 8
    assert constants(0) == constants(None)
    with pytest.raises(CompileError, match="side 4"):
        constants(4)


def test_wrapping_sums_end_exact() -> None:
    """Sums of tiles may pass 2^31 where four times the result does not."""
    node, x, y = convolution((4, 4), 168, 2, extreme=True)
    weight = node.constants["weight"]
    assert np.abs(weight.astype(int)).sum(axis=(1, 2, 3)).max() * 128 < 1 << 29
    check_layer(node, _tiled(node)[-1], [x], y)
