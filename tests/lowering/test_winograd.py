"""The rule of Winograd convolutions: values, errors, which layers it is for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import penjing
from penjing import targets
from penjing.compiler.ir.tensor_spec import TensorSpec
from penjing.compiler.lowering.rules.windows import Window
from penjing.compiler.lowering.rules.winograd import overhang, transform_weights, winograd_tile
from penjing.targets.cpu.winograd import matrices

from ..functions import Function
from ..winograd_layers import Layer, error, inputs, make_artifact, stages
from .harness import TARGET, execute

SIZES = (1, 2, 3, 4, 5, 7, 13)
CHANNELS = (1, 3, 4, 5, 8, 9, 16, 20, 33, 40)  # around whole vectors of 4, 8 and 16
SAME = Window(stride=(1, 1), dilation=(1, 1), before=(1, 1), after=(1, 1))


@pytest.mark.parametrize("tile", [2, 4])
def test_matrices_multiply_polynomials(tile: int) -> None:
    inputs, weights, outputs = matrices(tile)
    random = np.random.default_rng(0)
    d, g = random.standard_normal(tile + 2), random.standard_normal(3)
    y = outputs @ ((weights @ g) * (inputs @ d))
    np.testing.assert_allclose(y, np.correlate(d, g, mode="valid"), rtol=1e-12, atol=1e-12)


def test_weights_are_transformed_in_panels_of_output_channels() -> None:
    w = np.random.default_rng(0).standard_normal((5, 3, 3, 3)).astype(np.float32)
    packed = transform_weights(w, tile=2, columns=4)
    _, points, _ = matrices(2)
    assert packed.shape == (16, 2, 3, 4)
    expected = points @ w[4, 2].astype(np.float64) @ points.T
    np.testing.assert_array_equal(packed[:, 1, 2, 0], expected.reshape(16).astype(np.float32))
    assert not packed[:, 1, :, 1:].any()


@settings(max_examples=20)
@given(
    height=st.sampled_from(SIZES),
    width=st.sampled_from(SIZES),
    depth=st.sampled_from(CHANNELS),
    outputs=st.sampled_from(CHANNELS),
    tile=st.sampled_from([2, 4]),
    batch=st.integers(1, 2),
    residual=st.booleans(),
)
def test_odd_shapes(
    height: int, width: int, depth: int, outputs: int, tile: int, batch: int, residual: bool
) -> None:
    layer = Layer(
        sizes=(height, width),
        depth=depth,
        outputs=outputs,
        tile=tile,
        batch=batch,
        residual=residual,
    )
    check(layer)


@pytest.mark.parametrize(("sizes", "channels"), [((28, 28), 128), ((7, 7), 512)], ids=str)
@pytest.mark.parametrize(("tile", "bound"), [(2, 1e-6), (4, 4e-6)])
def test_error_of_resnet_layers(
    sizes: tuple[int, int], channels: int, tile: int, bound: float
) -> None:
    check(Layer(sizes=sizes, depth=channels, outputs=channels, tile=tile), bound=bound)


def test_long_epilogue_stays_a_loop() -> None:
    check(Layer(sizes=(9, 6), depth=8, outputs=20, swish=True, residual=True))


def test_images_with_a_wider_border() -> None:
    """An image that a 5 x 5 convolution reads too lies in a border of two elements."""
    torch.manual_seed(0)
    first, wide = nn.Conv2d(3, 16, 3, padding=1), nn.Conv2d(16, 16, 5, padding=2)
    narrow = nn.Conv2d(16, 16, 3, padding=1)

    def both(first: nn.Module, wide: nn.Module, narrow: nn.Module, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(first(x))
        return torch.cat([wide(y), torch.relu(narrow(y))], 1)

    model = Function(both, first, wide, narrow).eval()
    x = torch.randn(1, 3, 14, 14)
    (output,) = penjing.compile(model, (x,), target="host").run(x)
    wanted = model(x).detach().numpy()
    assert np.abs(output - wanted).max() <= 2e-6 * np.abs(wanted).max()


@pytest.mark.qemu
@pytest.mark.parametrize("target", ["arm-a72", "armv7-a9"])
@pytest.mark.parametrize("tile", [2, 4])
def test_on_arm(target: str, tile: int) -> None:
    layer = Layer(sizes=(5, 13), depth=7, outputs=18, tile=tile, batch=2, residual=True)
    (output,) = make_artifact(layer, target).run(*inputs(layer))
    assert error(layer, output) <= 2e-6


@pytest.mark.parametrize(
    ("channels", "size"), [(64, 56), (128, 28), (256, 14), (16, 32), (32, 16), (64, 8)]
)
@pytest.mark.parametrize("target", ["arm-a72", "x86-64-v4", "x86-64-v3"])
def test_resnet_layers_take_large_tiles(channels: int, size: int, target: str) -> None:
    shape = (channels, channels, 3, 3)
    assert winograd_tile(targets.get(target), SAME, shape, 1, (size, size)) == 4


def test_weights_from_memory_keep_tiles_small_on_wide_vectors() -> None:
    shape = (512, 512, 3, 3)
    assert winograd_tile(targets.get("arm-a72"), SAME, shape, 1, (7, 7)) == 4
    assert winograd_tile(targets.get("x86-64-v4"), SAME, shape, 1, (7, 7)) == 2


def test_small_tiles_where_large_ones_are_ruled_out() -> None:
    target = targets.get("arm-a72")
    assert winograd_tile(target, SAME, (64, 64, 3, 3), 1, (56, 56), tiles=(2,)) == 2
    assert winograd_tile(target, SAME, (64, 64, 3, 3), 1, (56, 56), tiles=()) == 0


@pytest.mark.parametrize(
    ("window", "shape", "sizes"),
    [
        (Window(stride=(2, 2), dilation=(1, 1), before=(1, 1), after=(1, 1)), (64, 64, 3, 3), 56),
        (Window(stride=(1, 1), dilation=(2, 2), before=(2, 2), after=(2, 2)), (64, 64, 3, 3), 56),
        (SAME, (64, 64, 5, 5), 56),
        (SAME, (64, 64, 3, 1), 56),
        (SAME, (16, 3, 3, 3), 32),
        (SAME, (64, 64, 3, 3), 1),
    ],
    ids=["stride", "dilation", "5x5", "3x1", "few channels", "one output"],
)
def test_other_layers_stay_direct(window: Window, shape: tuple[int, ...], sizes: int) -> None:
    assert winograd_tile(targets.get("arm-a72"), window, shape, 1, (sizes, sizes)) == 0


def test_overhang_fills_the_last_tiles() -> None:
    assert overhang((56, 13), 4) == (0, 3)
    assert overhang((7, 8), 2) == (1, 0)


def check(layer: Layer, *, bound: float = 2e-6) -> None:
    """Fail unless the layer computes what torch does."""
    func, given = stages(layer, TARGET)
    spec = TensorSpec(layer.shape, "float32")
    (output,) = execute(func, [torch.from_numpy(array) for array in given], [spec])
    assert error(layer, output.numpy()) <= bound
