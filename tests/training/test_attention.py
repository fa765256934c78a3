import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils._python_dispatch import TorchDispatchMode

from penjing.compiler.batches import Batch
from penjing.compiler.frontend.trace import trace
from penjing.compiler.training.forward import Forward, Run


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        heads = self.project(x).unflatten(2, (2, 4)).transpose(1, 2)
        return scaled_dot_product_attention(heads, heads, heads)


class _Operators(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: set[str] = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        self.names.add(func.name())
        return func(*args, **(kwargs or {}))


def _squares(run: Run, batch: Batch) -> Tensor:
    return run().outputs[0].square().sum()


@pytest.mark.parametrize(("length", "is_fused"), [(8, False), (300, True)])
def test_short_attention_is_trained_as_two_products(length: int, is_fused: bool) -> None:
    torch.manual_seed(0)
    model, x = _Attention(), torch.randn(1, length, 8)
    program = trace(model, (x,))
    program.module.requires_grad_(True)
    with _Operators() as operators:
        loss = Forward(program, _squares, False)(Batch((x,), None, 1))
        loss.backward()
    assert any("flash_attention" in name for name in operators.names) == is_fused
    wanted = model(x).square().sum()
    torch.testing.assert_close(loss, wanted)
    wanted.backward()
    torch.testing.assert_close(program.weights["project.weight"].grad, model.project.weight.grad)
