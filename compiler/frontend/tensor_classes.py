"""Classes that hold tensors and that PyTorch does not yet know how to take apart."""

import dataclasses
import sys
from collections.abc import Callable

import torch
from torch.utils import _pytree as pytree

_PLAIN = (torch.Tensor, int, float, bool, complex, str, type(None), torch.dtype, torch.device)


def register_classes(tree: object) -> bool:
    """Teach PyTorch the dataclasses and caches found in `tree`; whether there was a new one."""
    found = False
    for leaf in pytree.tree_leaves(tree):
        cls = type(leaf)
        if isinstance(leaf, _PLAIN):
            continue
        if dataclasses.is_dataclass(cls):
            torch.export.register_dataclass(cls)
            found = True
        elif register := _caches_of_transformers(leaf):
            register()
            found = True
    return found and (register_classes(tree) or True)  # what they hold may be new as well


def unknown_classes(tree: object) -> list[str]:
    """Names of the classes in `tree` that remain unknown."""
    leaves = pytree.tree_leaves(tree)
    return sorted({type(leaf).__qualname__ for leaf in leaves if not isinstance(leaf, _PLAIN)})


def _caches_of_transformers(leaf: object) -> Callable[[], None] | None:
    """The function by which `transformers` registers its key and value caches."""
    caches = sys.modules.get("transformers.cache_utils")
    if caches is None or type(leaf) is not caches.DynamicCache:
        return None
    from transformers.integrations.executorch import register_dynamic_cache_export_support

    register: Callable[[], None] = register_dynamic_cache_export_support
    return register
