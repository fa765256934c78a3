"""Classes that hold tensors and that PyTorch does not yet know how to take apart."""

import dataclasses
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

_PLAIN = (torch.Tensor, int, float, bool, complex, str, type(None), torch.dtype, torch.device)


def register_classes(tree: object) -> None:
    """Teach PyTorch the dataclasses, and other objects with tensors as attributes, in `tree`.

    Such objects are taken apart into all of their attributes, and put together from them without
    running their constructor. This is how caches of keys and values become plain outputs.
    """
    while new := {type(leaf): leaf for leaf in pytree.tree_leaves(tree) if _is_new(leaf)}:
        for cls in new:
            if dataclasses.is_dataclass(cls):
                torch.export.register_dataclass(cls)
            else:
                _register_attributes(cls)


def unknown_classes(tree: object) -> list[str]:
    """Names of the classes in `tree` that are neither containers nor plain values."""
    leaves = pytree.tree_leaves(tree)
    return sorted({type(leaf).__qualname__ for leaf in leaves if not isinstance(leaf, _PLAIN)})


def _is_new(leaf: object) -> bool:
    is_object = not isinstance(leaf, (*_PLAIN, type, nn.Module)) and hasattr(leaf, "__dict__")
    return is_object and not callable(leaf) and _holds_tensors(leaf, set())


def _holds_tensors(thing: object, seen: set[int]) -> bool:
    if isinstance(thing, torch.Tensor):
        return True
    if id(thing) in seen or not hasattr(thing, "__dict__") or isinstance(thing, type):
        return False
    seen.add(id(thing))
    return any(_holds_tensors(leaf, seen) for leaf in pytree.tree_leaves(vars(thing)))


def _register_attributes(cls: Any) -> None:
    def flatten(thing: Any) -> tuple[list[Any], list[str]]:
        return list(vars(thing).values()), list(vars(thing))

    def flatten_with_keys(thing: Any) -> tuple[list[tuple[Any, Any]], list[str]]:
        entries = [(pytree.GetAttrKey(key), value) for key, value in vars(thing).items()]
        return entries, list(vars(thing))

    def unflatten(values: Any, names: Any) -> Any:
        thing = cls.__new__(cls)
        thing.__dict__.update(zip(names, values, strict=True))
        return thing

    name = f"{cls.__module__}.{cls.__qualname__}"
    pytree.register_pytree_node(
        cls,
        flatten,
        unflatten,
        serialized_type_name=name,
        flatten_with_keys_fn=flatten_with_keys,
    )
