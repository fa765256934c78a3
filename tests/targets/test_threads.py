"""What the iterations of a parallel kernel write apart from each other."""

import numpy as np
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
