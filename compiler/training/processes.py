"""Where the updates are computed: in this process, or in several that `accelerate` coordinates."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import CompileError
from .options import TrainingOptions

_DTYPES = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class Processes(ABC):
    """What differs between training in one process and in several.

    Attributes:
        index: Number of this process, from 0.
        count: How many there are.
        device: What this one computes on.
    """

    index: int
    count: int
    device: torch.device

    @abstractmethod
    def prepare(self, module: nn.Module, optimizer: Any) -> tuple[nn.Module, Any]:
        """The module to call instead, whose gradients are averaged, and the optimizer to step."""

    @abstractmethod
    def autocast(self) -> AbstractContextManager[Any]:
        """Computes in the chosen precision."""

    @abstractmethod
    def hold(self, module: nn.Module) -> AbstractContextManager[Any]:
        """In it, gradients are gathered in this process alone."""

    @abstractmethod
    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss`."""

    @abstractmethod
    def update(self, optimizer: Any, weights: Sequence[Tensor], clip: float) -> None:
        """One step of the optimizer with gradients no longer than `clip`; 0 = any."""

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What to keep in checkpoints."""

    @abstractmethod
    def restore(self, state: dict[str, Any]) -> None:
        """Continue from what `state` gave."""


def start_processes(options: TrainingOptions) -> Processes:
    """This process, or all that were started together if the options say `distributed`.

    Raises:
        CompileError: A device that is not there, or `accelerate` is not installed.
    """
    device = find_device(options.device)
    return _Several(options, device) if options.distributed else _One(options, device)


class _One(Processes):
    def __init__(self, options: TrainingOptions, device: torch.device) -> None:
        self.index, self.count, self.device = 0, 1, device
        self._dtype = _DTYPES.get(options.precision)
        is_half = options.precision == "float16"  # small gradients would vanish unscaled
        self._scaler = torch.amp.GradScaler(device.type) if is_half else None

    def prepare(self, module: nn.Module, optimizer: Any) -> tuple[nn.Module, Any]:
        return module, optimizer

    def autocast(self) -> AbstractContextManager[Any]:
        if self._dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, self._dtype)

    def hold(self, module: nn.Module) -> AbstractContextManager[Any]:
        return nullcontext()

    def backward(self, loss: Tensor) -> None:
        (loss if self._scaler is None else self._scaler.scale(loss)).backward()

    def update(self, optimizer: Any, weights: Sequence[Tensor], clip: float) -> None:
        if self._scaler is not None:
            self._scaler.unscale_(optimizer)
        if clip:
            nn.utils.clip_grad_norm_(weights, clip)
        if self._scaler is None:
            optimizer.step()
        else:
            self._scaler.step(optimizer)
            self._scaler.update()

    def state(self) -> dict[str, Any]:
        return {} if self._scaler is None else self._scaler.state_dict()

    def restore(self, state: dict[str, Any]) -> None:
        if self._scaler is not None:
            self._scaler.load_state_dict(state)


class _Several(Processes):
    """Through the public interface of Hugging Face's accelerate."""

    def __init__(self, options: TrainingOptions, device: torch.device) -> None:
        try:
            from accelerate import Accelerator, DistributedDataParallelKwargs
        except ImportError as error:
            raise CompileError(
                "training in several processes needs accelerate, which is not installed",
                fix="pip install accelerate, or leave out distributed",
            ) from error
        precision = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}[options.precision]
        # Frozen layers and outputs without a loss leave weights without gradients.
        unused = DistributedDataParallelKwargs(find_unused_parameters=True)
        self._accelerator = Accelerator(
            cpu=device.type == "cpu", mixed_precision=precision, kwargs_handlers=[unused]
        )
        self.index = self._accelerator.process_index
        self.count = self._accelerator.num_processes
        self.device = self._accelerator.device

    def prepare(self, module: nn.Module, optimizer: Any) -> tuple[nn.Module, Any]:
        prepared, optimizer = self._accelerator.prepare(module, optimizer)
        assert isinstance(prepared, nn.Module), prepared
        return prepared, optimizer

    def autocast(self) -> AbstractContextManager[Any]:
        manager: AbstractContextManager[Any] = self._accelerator.autocast()
        return manager

    def hold(self, module: nn.Module) -> AbstractContextManager[Any]:
        manager: AbstractContextManager[Any] = self._accelerator.no_sync(module)
        return manager

    def backward(self, loss: Tensor) -> None:
        self._accelerator.backward(loss)

    def update(self, optimizer: Any, weights: Sequence[Tensor], clip: float) -> None:
        if clip:
            self._accelerator.clip_grad_norm_(weights, clip)
        optimizer.step()

    def state(self) -> dict[str, Any]:
        scaler = self._accelerator.scaler
        return {} if scaler is None else dict(scaler.state_dict())

    def restore(self, state: dict[str, Any]) -> None:
        if self._accelerator.scaler is not None:
            self._accelerator.scaler.load_state_dict(state)


def find_device(name: str) -> torch.device:
    """The device of that name.

    Raises:
        CompileError: There is none.
    """
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise CompileError(
            f"cannot train on device {name!r}",
            got=str(error).splitlines()[0],
            fix='use "cpu", or a device that torch reports as available',
        ) from error
    return device
