"""How an operator of the namespace `penjing` is defined."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

_LIBRARY = torch.library.Library("penjing", "DEF")


def operator(
    signature: str, shape: Callable[..., Tensor], tags: Sequence[torch.Tag] = ()
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Define an operator: its schema, what it gives without values, and its definition.

    The definition holds under vmap too.
    """

    def define(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        name = _LIBRARY.define(f"{signature} -> Tensor", tags=tags).split("::")[-1]
        for key in ("CompositeExplicitAutograd", "FuncTorchBatchedDecomposition"):
            _LIBRARY.impl(name, function, key)
        torch.library.register_fake(f"penjing::{name}", shape, lib=_LIBRARY)
        return function

    return define
