"""The nesting of a model's inputs or outputs, and the way to and from a flat list of tensors."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils import _pytree as pytree

from ..errors import CompileError
from .serialize_values import decode, encode


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
        for index, leaf in enumerate(leaves):
            if index not in self.constants and not isinstance(leaf, torch.Tensor):
                raise CompileError("an input must be a tensor", got=type(leaf).__name__)
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
        """A name for each tensor leaf: the keys, attribute names and positions on its path.

        `prefix` stands in front of what would start with a position, and for a lone leaf.
        """
        names = ["_".join(map(str, path)) for path in self.paths()]
        return tuple(
            name if name[:1].isalpha() else "_".join(filter(None, (prefix, name))) for name in names
        )

    def paths(self) -> list[tuple[Any, ...]]:
        """The keys, attribute names and positions that lead to each tensor leaf."""
        paths = enumerate(_paths(self.spec))
        return [path for index, path in paths if index not in self.constants]

    def to_plain(self) -> Any:
        """The structure as JSON; classes of other libraries become dicts, or tuples without keys.

        Raises:
            CompileError: A constant has no form in JSON.
        """
        leaves = [
            ["constant", encode(self.constants[i], {})] if i in self.constants else ["tensor"]
            for i in range(self.spec.num_leaves)
        ]
        return _to_plain(self.spec, iter(leaves))

    @classmethod
    def from_plain(cls, plain: Any) -> "Structure":
        """The structure that `to_plain` described."""
        leaves, spec = pytree.tree_flatten(_from_plain(plain))
        return cls(spec, {i: leaf for i, leaf in enumerate(leaves) if leaf is not _LEAF})


_LEAF = object()  # stands for a tensor


def _keys(spec: pytree.TreeSpec) -> list[Any] | None:
    """What the children of a node are called; None where they have positions only.

    By the conventions of pytrees: a dict's context is its keys, a named tuple's its class, that of
    other classes holds the list of keys or attribute names.
    """
    context, count = spec.context, spec.num_children
    if isinstance(context, type) and hasattr(context, "_fields"):
        return list(context._fields)
    candidates = [context, *context] if isinstance(context, (list, tuple)) else []
    for keys in candidates:
        is_list = isinstance(keys, (list, tuple)) and len(keys) == count
        if is_list and all(isinstance(key, (str, int)) for key in keys):
            return list(keys)
    return None


def _paths(spec: pytree.TreeSpec) -> Iterator[tuple[Any, ...]]:
    if spec.is_leaf():
        yield ()
        return
    keys = _keys(spec) or range(spec.num_children)
    for key, child in zip(keys, spec.children(), strict=True):
        yield from ((key, *path) for path in _paths(child))


def _to_plain(spec: pytree.TreeSpec, leaves: Iterator[Any]) -> Any:
    """A tree as JSON: each node is [kind, content]."""
    if spec.is_leaf():
        return next(leaves)
    children = [_to_plain(child, leaves) for child in spec.children()]
    keys = _keys(spec)
    if keys is not None:
        return ["dict", [list(pair) for pair in zip(keys, children, strict=True)]]
    return ["list" if spec.type is list else "tuple", children]


def _from_plain(plain: Any) -> object:
    kind, *content = plain
    if kind == "tensor":
        return _LEAF
    if kind == "constant":
        return decode(content[0], [])
    if kind == "dict":
        return {key: _from_plain(child) for key, child in content[0]}
    children = [_from_plain(child) for child in content[0]]
    return children if kind == "list" else tuple(children)


def _same(left: object, right: object) -> bool:
    return type(left) is type(right) and left == right
