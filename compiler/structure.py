"""The nesting of a model's inputs or outputs, and the way to and from a flat list of tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

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

    def names(self, prefix: str) -> tuple[str, ...]:
        """A name for each tensor leaf, from its dict keys, attribute names and positions.

        `prefix` stands in front of what would start with a position, and for a lone leaf.
        """
        paths, _ = pytree.tree_flatten_with_path(self.unflatten(range(self.tensor_count)))
        names = [
            "_".join(str(_entry(entry)) for entry in path)
            for index, (path, _) in enumerate(paths)
            if index not in self.constants
        ]
        return tuple(
            name if name[:1].isalpha() else "_".join(filter(None, (prefix, name))) for name in names
        )

    def to_plain(self) -> Any:
        """The structure as JSON; classes of other libraries become dicts, lists or tuples."""
        return _to_plain(self.unflatten([_LEAF] * self.tensor_count))

    @classmethod
    def from_plain(cls, plain: Any) -> "Structure":
        """The structure that `to_plain` described."""
        leaves, spec = pytree.tree_flatten(_from_plain(plain))
        return cls(spec, {i: leaf for i, leaf in enumerate(leaves) if leaf is not _LEAF})


_LEAF = object()  # stands for a tensor


def _to_plain(tree: object) -> Any:
    """A tree as JSON: each node is [kind, content]."""
    if tree is _LEAF:
        return ["tensor"]
    if pytree.tree_is_leaf(tree):
        if tree is None or isinstance(tree, (bool, int, float, str)):
            return ["constant", tree]
        raise CompileError(
            "an input or output is no plain value and cannot be saved", got=repr(tree)
        )
    flatten = pytree.SUPPORTED_NODES[pytree._get_node_type(tree)].flatten_with_keys_fn
    assert flatten is not None, type(tree)
    entries, _ = flatten(tree)
    keyed = any(not isinstance(key, pytree.SequenceKey) for key, _ in entries)
    if keyed or isinstance(tree, Mapping):
        return ["dict", [[_entry(key), _to_plain(child)] for key, child in entries]]
    kind = "list" if isinstance(tree, list) else "tuple"
    return [kind, [_to_plain(child) for _, child in entries]]


def _from_plain(plain: Any) -> object:
    kind, *rest = plain
    if kind == "tensor":
        return _LEAF
    if kind == "constant":
        return rest[0]
    if kind == "dict":
        return {key: _from_plain(child) for key, child in rest[0]}
    children = [_from_plain(child) for child in rest[0]]
    return children if kind == "list" else tuple(children)


def _same(left: object, right: object) -> bool:
    return type(left) is type(right) and left == right


def _entry(entry: object) -> Any:
    for attribute in ("key", "name", "idx"):
        if hasattr(entry, attribute):
            return getattr(entry, attribute)
    return str(entry).strip(".[]'\"<>")
