"""The Constant operator: a tensor of the model that is written into a node."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .call import Call, Value
from .registry import STANDARD, translation
from .scope import Scope
from .structural import structural_op

if TYPE_CHECKING:
    from .resolve import Resolver


@structural_op("Constant")
def constant(resolver: "Resolver", call: Call, scope: Scope) -> Sequence[Value | None]:
    """A weight where an initializer like it were one."""
    read = translation(STANDARD, "Constant")
    assert read is not None
    return [resolver.make.weight_or_number(call.name, read(call))]
