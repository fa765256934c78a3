"""Winograd convolutions on a device: three launches of many work-items each."""

import pytest
import torch
from torch import nn

import penjing
from penjing.targets import get

from .runs import device


@pytest.mark.parametrize(
    ("target", "tile", "channels", "outputs", "sizes"),
    [
        ("opencl", 4, 16, 32, (14, 14)),
        ("opencl", 4, 37, 41, (13, 15)),
        ("opencl,cpu=x86-64-v2", 4, 32, 24, (12, 13)),
    ],
)
def test_every_step_is_a_launch_of_many_work_items(
    target: str, tile: int, channels: int, outputs: int, sizes: tuple[int, int]
) -> None:
    device()
    model = nn.Sequential(nn.Conv2d(channels, outputs, 3, padding=1), nn.ReLU()).eval()
    x = torch.randn(2, channels, *sizes)
    artifact = penjing.compile(model, (x,), target=get(target), name="net", winograd=tile)
    (mine,) = artifact.run(x)
    assert artifact._opencl.is_on_device, artifact._opencl.message
    right = model(x).detach()
    torch.testing.assert_close(torch.from_numpy(mine), right, atol=1e-4, rtol=1e-4)
    conv = next(call for call in artifact.manifest.calls if call.macs)
    assert len(conv.launches) >= 3
    for launch in conv.launches:
        items = launch.items[0] * launch.items[1] * launch.items[2]
        assert items >= 8, launch
