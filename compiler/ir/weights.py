"""Named tensors of a graph module: dotted names are paths through submodules."""

from collections.abc import Iterator

import torch
from torch import nn


def get_weight(root: nn.Module, name: str) -> torch.Tensor:
    """The parameter or buffer called `name`."""
    path, _, leaf = name.rpartition(".")
    tensor = getattr(root.get_submodule(path), leaf)
    assert isinstance(tensor, torch.Tensor), name
    return tensor


def has_name(root: nn.Module, name: str) -> bool:
    """Whether `name` is a weight or any other attribute on the way to one."""
    module = root
    for part in name.split("."):
        if not hasattr(module, part):
            return False
        module = getattr(module, part)
    return True


def set_weight(root: nn.Module, name: str, tensor: torch.Tensor) -> None:
    """Register a parameter (for an `nn.Parameter`) or buffer, replacing one of that name.

    It is stored dense in row-major order; a tensor that is so already is not copied.
    """
    if not tensor.is_contiguous():
        dense = tensor.detach().contiguous()
        is_parameter = isinstance(tensor, nn.Parameter)
        tensor = nn.Parameter(dense, tensor.requires_grad) if is_parameter else dense
    path, _, leaf = name.rpartition(".")
    module = root
    for part in path.split(".") if path else ():
        if part not in module._modules:
            module.add_module(part, nn.Module())
        module = module.get_submodule(part)
    if leaf in module._parameters or leaf in module._buffers:
        delattr(module, leaf)
    if isinstance(tensor, nn.Parameter):
        module.register_parameter(leaf, tensor)
    else:
        module.register_buffer(leaf, tensor)


def delete_weight(root: nn.Module, name: str) -> None:
    """Remove a weight and the submodules that held nothing else."""
    path, _, leaf = name.rpartition(".")
    module = root.get_submodule(path)
    delattr(module, leaf)
    if path and not any((module._parameters, module._buffers, module._modules)):
        delete_weight(root, path)


def named_weights(root: nn.Module) -> Iterator[tuple[str, torch.Tensor]]:
    """Every parameter and buffer with its name."""
    yield from root.named_parameters(remove_duplicate=False)
    yield from root.named_buffers(remove_duplicate=False)
