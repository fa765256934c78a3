"""Products that are summed in float16, on cores that have it."""

import numpy as np
import pytest
import torch
from torch import nn

import penjing
from penjing.compiler.errors import CompileError
from penjing.targets.registry import get

HAVE_IT = ("arm-a55", "arm-a76", "arm-a78", "arm-x1")
LACK_IT = ("arm-a72", "arm-a53", "arm-generic", "armv7-a9", "x86-64-v3")


def _layer(name: str) -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    layers: dict[str, tuple[nn.Module, tuple[int, ...]]] = {
        "linear": (nn.Linear(96, 80), (40, 96)),
        "odd": (nn.Linear(37, 19, bias=False), (5, 37)),
        "vector": (nn.Linear(64, 130), (1, 64)),
        "conv3x3": (nn.Conv2d(16, 40, 3, padding=1), (1, 16, 14, 14)),
        "strided": (nn.Conv2d(3, 24, 3, stride=2), (1, 3, 17, 19)),
        "conv1x1": (nn.Sequential(nn.Conv2d(24, 33, 1), nn.ReLU()), (2, 24, 7, 5)),
        "depthwise": (nn.Conv2d(24, 24, 3, groups=24), (1, 24, 9, 9)),
        "grouped": (nn.Conv2d(32, 16, 3, groups=2), (1, 32, 9, 9)),
    }
    module, shape = layers[name]
    return module.eval().half(), torch.randn(shape).half()


@pytest.mark.qemu
@pytest.mark.parametrize(
    "name",
    ["linear", "odd", "vector", "conv3x3", "strided", "conv1x1", "depthwise", "grouped"],
)
def test_values(name: str) -> None:
    """A sum of n terms in float16 is within n half units in the last place of their sizes."""
    model, x = _layer(name)
    (got,) = penjing.compile(model, (x,), target="arm-a76", half="arithmetic").run(x)
    with torch.no_grad():
        exact = model.double()(x.double()).numpy()
    assert np.abs(got - exact).max() < 5e-3 * np.abs(exact).max()
    assert np.abs(exact).max() > 1


@pytest.mark.qemu
@pytest.mark.parametrize("shape", [(128, 96, 96), (28, 384, 64)], ids=str)
def test_it_halves_the_instructions(shape: tuple[int, int, int]) -> None:
    rows, depth, columns = shape
    model, x = nn.Linear(depth, columns).eval(), torch.randn(rows, depth)
    wide = penjing.compile(model, (x,), target="arm-a76").count_instructions(x)
    model, x = model.half(), x.half()
    narrow = penjing.compile(model, (x,), target="arm-a76", half="arithmetic")
    assert narrow.count_instructions(x) < 0.53 * wide


@pytest.mark.parametrize("target", LACK_IT)
def test_cores_without_it_say_so(target: str) -> None:
    model, x = _layer("odd")
    with pytest.raises(CompileError) as caught:
        penjing.compile(model, (x,), target=target, half="arithmetic")
    assert caught.value.what == f"{target} has no arithmetic on float16"
    assert 'half="storage"' in caught.value.fix


def test_which_cores_have_it() -> None:
    assert all(get(name).has_half_arithmetic for name in HAVE_IT)
    assert not any(get(name).has_half_arithmetic for name in LACK_IT)


def test_only_two_ways_are_known() -> None:
    model, x = _layer("odd")
    with pytest.raises(CompileError, match='"storage" or "arithmetic"'):
        penjing.compile(model, (x,), target="arm-a76", half="fast")
