"""How an operator of the namespace `penjing` is defined."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch

Results = TypeVar("Results")
DEFINITIONS: dict[str, Callable[..., Any]] = {}  # of every operator, by its name in `penjing`
_LIBRARY = torch.library.Library("penjing", "DEF")


def operator(
    signature: str, shape: Callable[..., Results], tags: Sequence[torch.Tag] = ()
) -> Callable[[Callable[..., Results]], Callable[..., Results]]:
    """Define an operator: its schema, what it gives without values, and its definition.

    It gives one tensor unless the schema says otherwise. The definition holds under vmap too.
    """
    schema = signature if "->" in signature else f"{signature} -> Tensor"

    def define(function: Callable[..., Results]) -> Callable[..., Results]:
        name = _LIBRARY.define(schema, tags=tags).split("::")[-1]
        for key in ("CompositeExplicitAutograd", "FuncTorchBatchedDecomposition"):
            _LIBRARY.impl(name, function, key)
        torch.library.register_fake(f"penjing::{name}", shape, lib=_LIBRARY)
        DEFINITIONS[name] = function
        return function

    return define
