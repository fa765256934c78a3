"""Dense layers of microcontrollers: bytes, memory that they share, and instructions."""

from collections.abc import Callable
from typing import Any

import pytest

from penjing.targets.cortex_m.dense_image import DenseImage
from penjing.targets.cortex_m.layer import Layer, variants

from .dense_cases import Case, convolution, linear
from .layer_runs import check_layer, core

_ONE: dict[str, Any] = {"kernel": (1, 1), "padding": (0, 0)}
_CASES: dict[str, Callable[[], Case]] = {
    "3x3": lambda: convolution((5, 7), 8, 6),
    "odd results": lambda: convolution((5, 7), 8, 7),
    "one result": lambda: convolution((4, 4), 8, 1),
    "1 channel": lambda: convolution((6, 5), 1, 4),
    "2 channels": lambda: convolution((6, 5), 2, 4, stride=(2, 1)),
    "3 channels": lambda: convolution((6, 11), 3, 5),
    "5 channels": lambda: convolution((7, 9), 5, 4, stride=(2, 3)),
    "a third channel only": lambda: convolution((3, 4), 7, 4, padding=(2, 2)),
    "10x4 of 1 channel": lambda: convolution((21, 6), 1, 6, kernel=(10, 4), stride=(2, 2),
                                             padding=(5, 1)),
    "dilated": lambda: convolution((9, 9), 4, 4, dilation=(2, 2), padding=(2, 2)),
    "dilated, 1 channel": lambda: convolution((9, 8), 1, 3, dilation=(1, 2), padding=(0, 3)),
    "groups": lambda: convolution((6, 6), 8, 6, groups=2),
    "small groups": lambda: convolution((6, 6), 16, 12, groups=4, stride=(2, 2)),
    "1x1": lambda: convolution((5, 5), 16, 8, **_ONE),
    "1x1 of 6 channels": lambda: convolution((4, 5), 6, 4, **_ONE),
    "1x1, padded": lambda: convolution((5, 5), 4, 4, kernel=(1, 1), padding=(1, 1)),
    "1x1, stride": lambda: convolution((7, 7), 8, 4, stride=(2, 2), **_ONE),
    "1x1 of one pixel": lambda: convolution((1, 1), 12, 10, **_ONE),
    "far windows": lambda: convolution((3, 3), 260, 4, **_ONE),
    "farther windows": lambda: convolution((2, 3), 516, 4, **_ONE),
    "farthest windows": lambda: convolution((2, 3), 1028, 2, **_ONE),
    "long rows": lambda: convolution((4, 4), 128, 4, kernel=(5, 5), padding=(2, 2)),
    "many factors": lambda: convolution((4, 5), 52, 4),
    "one row": lambda: convolution((1, 20), 8, 4, kernel=(1, 5), padding=(0, 2)),
    "one column": lambda: convolution((20, 1), 8, 4, kernel=(5, 1), padding=(2, 0)),
    "wide border": lambda: convolution((5, 5), 4, 4, padding=(3, 3)),
    "gaps": lambda: convolution((6, 6), 4, 4, kernel=(2, 2), padding=(0, 0), stride=(3, 3)),
    "extremes": lambda: convolution((4, 4), 8, 4, extreme=True),
    "extreme sums": lambda: convolution((3, 4), 256, 4, extreme=True),
    "least weights": lambda: convolution((4, 4), 8, 4, extreme=True, most_weight=128),
    "large scale": lambda: convolution((4, 4), 8, 5, scale=0.7),
    "scale above 1": lambda: convolution((4, 4), 8, 5, scale=0.3, shift=2),
    "scale far above 1": lambda: convolution((4, 4), 4, 3, scale=0.001, shift=9),
    "large biases": lambda: convolution((4, 4), 4, 3, most_bias=2**30, scale=0.4),
    "ReLU at 0": lambda: convolution((4, 4), 8, 4, low=0, zero_point=0),
    "limits": lambda: convolution((4, 4), 8, 5, low=-20, high=90),
    "row": lambda: linear(1, 128, 16),
    "short row": lambda: linear(1, 7, 5),
    "row of 2 channels": lambda: linear(1, 100, 2),
    "row of 3 channels": lambda: linear(1, 22, 3),
    "row of one channel": lambda: linear(1, 3, 1),
    "row, limits": lambda: linear(1, 13, 7, low=-10, high=20),
    "row, large scale": lambda: linear(1, 67, 9, scale=0.6),
    "row, scale above 1": lambda: linear(1, 16, 4, scale=0.0004, shift=3),
    "row, extreme": lambda: linear(1, 640, 6, extreme=True),
    "row, large biases": lambda: linear(1, 16, 4, most_bias=2**30),
    "rows": lambda: linear(3, 20, 6),
    "short rows": lambda: linear(5, 7, 3),
}  # fmt: skip


def _some(layers: list[Layer]) -> list[Layer]:
    """The fastest, the smallest, and one between."""
    smallest = min(layers, key=lambda layer: layer.scratch_bytes)
    return list(dict.fromkeys([layers[0], layers[len(layers) // 2], smallest]))


@pytest.mark.parametrize("name", _CASES)
def test_portable_bytes_are_those_of_pytorch(name: str) -> None:
    node, x, y = _CASES[name]()
    layers = variants(node, core("cortex-m4"))
    smallest = min(layers, key=lambda layer: layer.scratch_bytes)
    for layer in dict.fromkeys([layers[0], smallest]):
        check_layer(node, layer, [x], y)


@pytest.mark.qemu
@pytest.mark.parametrize("name", _CASES)
def test_assembly_gives_the_same_bytes_on_a_board(name: str) -> None:
    node, x, y = _CASES[name]()
    m4 = core("cortex-m4")
    for layer in _some(variants(node, m4)):
        counted = check_layer(node, layer, [x], y, on=m4)
        small = 50 + 0.12 * counted
        assert abs(layer.cost - counted) < small, f"{layer.cost} instead of {counted}"


@pytest.mark.qemu
@pytest.mark.parametrize("name", ["cortex-m0plus", "cortex-m3", "cortex-m7", "cortex-m33"])
def test_other_cores(name: str) -> None:
    for case in (convolution((6, 8), 8, 7), convolution((9, 9), 3, 4), linear(1, 22, 9)):
        node, x, y = case
        check_layer(node, variants(node, core(name))[0], [x], y, on=core(name))


# (layer, the most instructions for a product, in thousandths): expansion, results, stores included
_BUDGETS: list[tuple[dict[str, Any], int]] = [
    ({"size": (32, 32), "channels": 16, "results": 16}, 817),
    ({"size": (8, 8), "channels": 64, "results": 64}, 800),
    ({"size": (32, 32), "channels": 3, "results": 16}, 1222),
    ({"size": (49, 10), "channels": 1, "results": 64, "kernel": (10, 4), "stride": (2, 2),
      "padding": (5, 1)}, 914),
    ({"size": (48, 48), "channels": 8, "results": 16, **_ONE}, 1458),
    ({"size": (25, 5), "channels": 64, "results": 64, **_ONE}, 842),
    ({"size": (6, 6), "channels": 128, "results": 128, **_ONE}, 814),
]  # fmt: skip


@pytest.mark.qemu
@pytest.mark.parametrize(("sizes", "most"), _BUDGETS)
def test_instructions_for_a_product(sizes: dict[str, Any], most: int) -> None:
    node, x, y = convolution(**sizes)
    m4 = core("cortex-m4")
    counted = check_layer(node, variants(node, m4)[0], [x], y, on=m4)
    image = DenseImage.of_convolution(node)
    assert image is not None
    assert 1000 * counted <= most * image.macs


@pytest.mark.parametrize(
    ("sizes", "most"),
    [
        ({"size": (32, 32), "channels": 16, "results": 16}, 1528),
        ({"size": (48, 48), "channels": 8, "results": 16, **_ONE}, 18432 + 2432),
        ({"size": (24, 24), "channels": 16, "results": 32, **_ONE}, 9216 + 1920),
        ({"size": (25, 5), "channels": 64, "results": 64, **_ONE}, 1400),
    ],
)
def test_some_way_needs_little_memory(sizes: dict[str, Any], most: int) -> None:
    layers = variants(convolution(**sizes)[0], core("cortex-m4"))
    needed = [max(layer.leads[0] or 0, 0) + layer.scratch_bytes for layer in layers]
    assert min(needed) <= most
    fitting = [layer for layer, bytes in zip(layers, needed, strict=True) if bytes <= most]
    assert min(layer.cost for layer in fitting) < 1.06 * layers[0].cost


def test_rows_need_no_scratch_memory() -> None:
    for sizes in ((1, 640, 128), (1, 128, 640)):
        (layer,) = variants(linear(*sizes)[0], core("cortex-m4"))
        assert layer.scratch_bytes == 0


@pytest.mark.parametrize(
    "case",
    [
        lambda: convolution((4, 4), 8, 8, groups=8),  # depthwise.py
        lambda: convolution((4, 4), 6, 6, groups=2),
        lambda: linear(1, 8, 4, shift=-3, scale=0.2),
        lambda: linear(1, 8, 4, scale=0.5, shift=20),
    ],
)
def test_what_others_compute(case: Callable[[], Case]) -> None:
    from penjing.targets.cortex_m import dense

    node = case()[0]
    rule = dense.convolution if node.op == "penjing.conv_int8" else dense.linear
    assert rule(node, core("cortex-m4")) == []
