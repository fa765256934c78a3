"""Attention on a device: stages with many results each."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from penjing import targets
from penjing.compiler.frontend.trace import trace
from penjing.compiler.lowering.lower import lower
from penjing.compiler.pass_manager import optimize
from penjing.passes.pipeline import cpu_pipeline
from tests.opencl.lowered import assert_equals_eager
from tests.opencl.programs import run_lowered


class Attention(nn.Module):
    """Scaled dot product attention with options."""

    def __init__(self, **options: Any) -> None:
        super().__init__()
        self.options = options

    def forward(
        self,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        attention = nn.functional.scaled_dot_product_attention
        return attention(query, key, value, mask, **self.options)


def _operands(query: tuple[int, ...], key: tuple[int, ...]) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(shape, generator=generator) for shape in (query, key, key)]


def _kept(rows: int, keys: int) -> torch.Tensor:
    """A mask of which one row keeps nothing."""
    mask = torch.rand((rows, keys), generator=torch.Generator().manual_seed(1)) > 0.4
    mask[2] = False
    return mask


CASES: dict[str, tuple[dict[str, Any], list[torch.Tensor]]] = {
    "whole vectors": ({}, _operands((1, 4, 12, 16), (1, 4, 12, 16))),
    "odd sizes": ({}, _operands((2, 3, 5, 7), (2, 3, 9, 7))),
    "causal": ({"is_causal": True}, _operands((1, 2, 9, 8), (1, 2, 9, 8))),
    "mask": ({}, [*_operands((1, 2, 5, 8), (1, 2, 9, 8)), _kept(5, 9)]),
    "added mask": ({}, [*_operands((1, 2, 5, 8), (1, 2, 9, 8)), torch.randn(1, 1, 5, 9)]),
    "shared keys": ({"enable_gqa": True}, _operands((1, 4, 5, 8), (1, 2, 9, 8))),
    "one query": ({}, _operands((1, 4, 1, 64), (1, 4, 40, 64))),
}


@pytest.mark.parametrize("target", ["opencl", "mali-g7x"])
@pytest.mark.parametrize("name", CASES)
def test_attention_equals_pytorch(name: str, target: str) -> None:
    options, operands = CASES[name]
    model = Attention(**options)
    program = optimize(trace(model, tuple(operands)), cpu_pipeline([]))
    lowered = lower(program, targets.get(target), name="attention")
    found = run_lowered(lowered, operands)[0]
    wanted = model(*operands).nan_to_num(0)  # of rows that keep nothing
    torch.testing.assert_close(found, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("rows", "launches"), [(1, 3), (128, 4)])
def test_attention_has_many_work_items(rows: int, launches: int) -> None:
    operands = _operands((1, 12, rows, 64), (1, 12, 128, 64))
    program = optimize(trace(Attention(), tuple(operands)), cpu_pipeline([]))
    lowered = lower(program, targets.get("mali-g7x"), name="attention")
    (kernel,) = lowered.device_kernels.values()
    assert len(kernel.launches) == launches
    assert min(math.prod(launch.items) for launch in kernel.launches) >= 192


class Heads(nn.Module):
    """Attention of heads that are taken out of matrices, and put together again."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(64, 64) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        query, key, value = (self._heads(f(x)) for f in (self.query, self.key, self.value))
        mixed = nn.functional.scaled_dot_product_attention(query, key, value)
        return mixed.permute(0, 2, 1, 3).reshape(1, -1, 64)

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        return x.reshape(1, -1, 4, 16).permute(0, 2, 1, 3)


@pytest.mark.parametrize("target", ["opencl", "mali-g7x"])
def test_heads_are_not_moved(target: str) -> None:
    lowered = assert_equals_eager(Heads(), [torch.randn(1, 20, 64)], target)
    *_, call = lowered.calls
    launches = lowered.device_kernels[call.kernel].launches
    assert len(launches) == 4  # keys in panels, scores, their softmax, means of values
