import sys
from contextlib import nullcontext
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from penjing.compiler.errors import CompileError
from penjing.compiler.training import train
from tests.training.tiny_training import class_loss, few_epochs, points, tiny_model, tiny_program


def test_several_processes_need_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "accelerate", None)
    with pytest.raises(CompileError, match="needs accelerate"):
        train(tiny_program(), class_loss, points(), options=few_epochs(distributed=True))


class _Accelerator:
    """Two processes after each other: the gradients of the first wait for those of the second."""

    index = 0
    gradients: list[list[Tensor]] = []  # noqa: RUF012

    def __init__(self, *, cpu: bool, mixed_precision: str, kwargs_handlers: list[Any]) -> None:
        assert cpu
        assert mixed_precision == "no"
        assert kwargs_handlers == ["unused"]
        self.num_processes, self.process_index = 2, _Accelerator.index
        self.device, self.scaler = torch.device("cpu"), None
        self.sums = 0

    def prepare(self, module: nn.Module, optimizer: Any) -> tuple[nn.Module, Any]:
        return module, optimizer

    def autocast(self) -> Any:
        return nullcontext()

    def no_sync(self, module: nn.Module) -> Any:
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        self.sums += 1
        loss.backward()

    def clip_grad_norm_(self, weights: list[Tensor], clip: float) -> None:
        """Here the average would be complete."""
        own = [weight.grad.clone() for weight in weights if weight.grad is not None]
        _Accelerator.gradients.append(own)


def test_processes_share_the_batches_of_every_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean of the gradients of two processes is that of one that has all the data."""
    module = ModuleType("accelerate")
    vars(module).update(
        Accelerator=_Accelerator, DistributedDataParallelKwargs=lambda **options: "unused"
    )
    monkeypatch.setitem(sys.modules, "accelerate", module)
    monkeypatch.setattr(_Accelerator, "gradients", [])
    for index in (0, 1):
        monkeypatch.setattr(_Accelerator, "index", index)
        options = few_epochs(batch_size=0, steps=1, distributed=True, accumulate=2)
        train(tiny_program(), class_loss, points(24, batch=6), options=options)
    model = tiny_model()
    x, y = (torch.cat(parts) for parts in zip(*points(), strict=True))
    functional.cross_entropy(model(x), y).backward()
    gradients = [weight.grad for weight in model.parameters()]
    by_size = sorted(gradients, key=lambda tensor: -tensor.numel())  # type: ignore[union-attr]
    first, second = (
        sorted(own, key=lambda tensor: -tensor.numel()) for own in _Accelerator.gradients
    )
    for left, right, whole in zip(first, second, by_size, strict=True):
        assert not torch.equal(left, right)
        torch.testing.assert_close((left + right) / 2, whole)
