"""A model behind an interface of tensors alone, whatever it takes and gives itself."""

from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from ..errors import CompileError
from ..ir.structure import Structure
from .tensor_classes import register_classes, unknown_classes

ROOT = "model"  # name of the attribute that holds the user's model


class FlatModule(nn.Module):
    """Takes the tensors among the model's inputs, returns a tuple of those among its outputs.

    Everything else among the inputs and outputs is a constant of the structure.
    """

    out_spec: Structure  # known once `forward` ran

    def __init__(self, model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        super().__init__()
        register_classes((args, kwargs))
        self.model = model
        self.in_spec = Structure.of((args, kwargs))
        self.tensors = self.in_spec.flatten((args, kwargs))
        self.training = model.training

    def forward(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The tensors of the model's result."""
        inputs: Any = self.in_spec.unflatten(tensors)
        result = self.model(*inputs[0], **inputs[1])
        register_classes(result)
        if classes := unknown_classes(result):
            raise CompileError(
                "the model returns objects that are no tensors, numbers, dataclasses, tuples, "
                "lists or dicts",
                at=type(self.model).__name__,
                got=", ".join(classes),
                fix="wrap the model in one that returns tensors (transformers: use_cache=False)",
            )
        object.__setattr__(self, "out_spec", Structure.of(result))
        leaves = pytree.tree_leaves(result)
        return tuple(leaf for leaf in leaves if isinstance(leaf, torch.Tensor))
