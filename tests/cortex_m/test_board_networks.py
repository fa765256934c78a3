"""The networks of MLPerf Tiny are those of the suite."""

import pytest
import torch
from torch import nn

from benchmarks.tiny import TINY, build


@pytest.mark.parametrize("name", TINY)
def test_multiply_adds_are_the_published_ones(name: str) -> None:
    model, inputs = build(name)
    macs = 0

    def count(module: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal macs
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            macs += output.numel() // module.weight.shape[0] * module.weight.numel()

    for module in model.modules():
        module.register_forward_hook(count)
    output = model(*inputs)
    assert macs == TINY[name].macs
    assert 0.01 < float(output.detach().abs().max()) < 100


def test_multiply_adds_in_millions() -> None:
    millions = [round(tiny.macs / 1e6, 3) for tiny in TINY.values()]
    assert millions == [12.502, 7.490, 2.657, 0.264]
