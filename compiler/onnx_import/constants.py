"""The Constant operator: a tensor of the model, written into a node."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from .call import Call, Value
from .scope import Scope
from .structural import structural_op

if TYPE_CHECKING:
    from .resolve import Resolver

_DTYPES = {
    "value_float": np.float32,
    "value_floats": np.float32,
    "value_int": np.int64,
    "value_ints": np.int64,
    "value_string": np.object_,
    "value_strings": np.object_,
}


@structural_op("Constant")
def constant(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    if len(call.attributes) != 1:
        raise call.refused(f"one attribute is its value, not {sorted(call.attributes)}")
    ((kind, value),) = call.attributes.items()
    if kind in _DTYPES:
        value = np.array(value, dtype=_DTYPES[kind])
    if not isinstance(value, np.ndarray):
        raise call.refused(f"attribute {kind} is no value")
    return [resolver.make.weight_or_number(call.name, value)]
