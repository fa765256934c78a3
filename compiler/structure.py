"""The nesting of a model's inputs or outputs, and the way to and from a flat list of tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch.utils import _pytree as pytree

from .errors import CompileError


@dataclass(frozen=True)
class Structure:
    """A pytree whose leaves are tensors, or constants fixed when the model was traced.

    Args:
        spec: The nesting.
        constants: Value of every leaf that is no tensor (None, numbers, strings), by leaf position.
    """

    spec: pytree.TreeSpec
    constants: dict[int, object] = field(default_factory=dict)

    @classmethod
    def of(cls, tree: object) -> "Structure":
        """The structure of a tree of tensors and constants."""
        leaves, spec = pytree.tree_flatten(tree)
        constants = {
            index: leaf for index, leaf in enumerate(leaves) if not isinstance(leaf, torch.Tensor)
        }
        return cls(spec, constants)

    @property
    def tensor_count(self) -> int:
        """Number of leaves that are tensors."""
        return self.spec.num_leaves - len(self.constants)

    def flatten(self, tree: object) -> list[torch.Tensor]:
        """The tensors of a tree of this very structure.

        Raises:
            CompileError: The nesting or a constant differs from what was traced.
        """
        try:
            leaves = self.spec.flatten_up_to(tree)
        except ValueError as error:
            raise CompileError(
                "the inputs are nested differently from the traced ones", got=str(error)
            ) from error
        for index, expected in self.constants.items():
            if not _same(leaves[index], expected):
                raise CompileError(
                    "an input that is no tensor is fixed when the model is traced",
                    got=f"{leaves[index]!r} where {expected!r} was traced",
                    fix="trace the model again with the new value",
                )
        return [leaf for index, leaf in enumerate(leaves) if index not in self.constants]

    def unflatten(self, tensors: Sequence[object]) -> object:
        """The tree holding these tensors (or any other objects) at its tensor leaves."""
        rest = iter(tensors)
        count = self.spec.num_leaves
        leaves = [self.constants[i] if i in self.constants else next(rest) for i in range(count)]
        return pytree.tree_unflatten(leaves, self.spec)

    def names(self) -> tuple[str, ...]:
        """A name for each tensor leaf, from its dict keys, attribute names and positions."""
        paths, _ = pytree.tree_flatten_with_path(self.unflatten(range(self.tensor_count)))
        return tuple(
            "_".join(_entry(entry) for entry in path)
            for index, (path, _) in enumerate(paths)
            if index not in self.constants
        )


def _same(left: object, right: object) -> bool:
    return type(left) is type(right) and left == right


def _entry(entry: object) -> str:
    for attribute in ("key", "name", "idx"):
        if hasattr(entry, attribute):
            return str(getattr(entry, attribute))
    return str(entry).strip(".[]'\"<>")
