"""Which kernels run on threads, and what their iterations write apart from each other."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

import penjing
from penjing.compiler.lowering.lower import lower
from penjing.compiler.lowering.options import KernelOptions
from penjing.compiler.pass_manager import optimize
from penjing.passes.pipeline import CPU_PIPELINE

HEADS, TOKENS, DEPTH = 6, 70, 16


class Attention(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        heads = x.reshape(1, TOKENS, HEADS, DEPTH).permute(0, 2, 1, 3)
        return F.scaled_dot_product_attention(heads, heads + 1, heads - 1)


def workspaces(threads: int) -> list[int]:
    example = (torch.randn(1, TOKENS, HEADS * DEPTH),)
    program = optimize(penjing.trace(Attention(), example), list(CPU_PIPELINE))
    options = KernelOptions(threads=threads)
    lowered = lower(program, penjing.targets.get("host"), name="net", options=options)
    kernels = lowered.kernels.values()
    return [elements for kernel in kernels for elements, _ in kernel.workspaces]


def test_every_task_has_scratch_memory_of_its_own() -> None:
    alone, shared = workspaces(threads=1), workspaces(threads=2)
    assert alone
    for one, all_of_them in zip(alone, shared, strict=True):
        assert all_of_them > one
        assert all_of_them % one == 0


def test_threads_do_not_disturb_each_other() -> None:
    torch.manual_seed(0)
    model, x = Attention(), torch.randn(1, TOKENS, HEADS * DEPTH)
    artifact = penjing.compile(model, (x,), target="host", threads=2)
    wanted = model(x).numpy()
    for _ in range(100):
        np.testing.assert_allclose(artifact.run(x)[0], wanted, rtol=1e-4, atol=1e-5)


def shared_kernels(
    model: nn.Module, *inputs: torch.Tensor, target: str = "x86-64-v4"
) -> list[bool]:
    """Which kernels of a model run on several threads."""
    program = optimize(penjing.trace(model.eval(), inputs), list(CPU_PIPELINE))
    options = KernelOptions(threads=2)
    lowered = lower(program, penjing.targets.get(target), name="net", options=options)
    return [lowered.kernels[call.kernel].parallel for call in lowered.calls]


@pytest.mark.parametrize(
    ("model", "shape", "shared"),
    [
        (nn.Linear(64, 64), (125, 64), False),  # 32000 products of vectors of 16
        (nn.Linear(384, 384), (128, 384), True),
        (nn.Linear(768, 768), (1, 768), True),  # few, but each needs a weight from memory
        (nn.LayerNorm(384), (128, 384), True),
        (nn.LayerNorm(384), (8, 384), False),
        (nn.Conv2d(16, 16, 3, padding=1), (1, 16, 32, 32), False),  # Winograd's products
        (nn.Conv2d(64, 64, 3, padding=1), (1, 64, 56, 56), True),
        (nn.Conv2d(64, 64, 3, padding=1, groups=64), (1, 64, 25, 5), False),
        (nn.Conv2d(96, 96, 3, padding=1, groups=96), (1, 96, 56, 56), True),
    ],
    ids=str,
)
def test_threads_share_what_takes_long(
    model: nn.Module, shape: tuple[int, ...], shared: bool
) -> None:
    assert any(shared_kernels(model, torch.randn(shape))) == shared


def test_narrow_vectors_make_sharing_worth_it_earlier() -> None:
    model, x = nn.Linear(128, 128).eval(), torch.randn(40, 128)
    assert not any(shared_kernels(model, x, target="x86-64-v4"))
    assert any(shared_kernels(model, x, target="arm-a72"))
