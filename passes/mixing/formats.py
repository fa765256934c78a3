"""The formats that a layer can have, and the passes that give them to layers."""

from collections.abc import Callable, Mapping

from ...compiler.pass_base import Pass
from ..quantize import Quantize
from ..quantize_dynamic import QuantizeDynamic
from ..quantize_weights import QuantizeWeights
from ..quantizing.annotate import Scope

FLOAT = "float"
_Keep = tuple[str, ...]
# In the order in which they are applied: the last one rounds what layers between others hand on.
_PASSES: dict[str, Callable[[_Keep, Scope], Pass]] = {
    "int4-weights": lambda keep, scope: QuantizeWeights(bits=4, keep=keep),
    "int8-weights": lambda keep, scope: QuantizeWeights(bits=8, keep=keep),
    "int8-dynamic": lambda keep, scope: QuantizeDynamic(convolutions=True, keep=keep),
    "int8": lambda keep, scope: Quantize(scope=scope, keep=keep),
}
FORMATS = (FLOAT, *reversed(_PASSES))
_WORK = {FLOAT: 1.0, "int4-weights": 1.0, "int8-weights": 1.0}  # of a float multiply-add
_INTEGER_WORK = 0.25  # four int8 multiply-adds fit where one of float32 does


def passes_for(assignment: Mapping[str, str], scope: Scope) -> list[Pass]:
    """The passes that give each module its format.

    Args:
        assignment: A name in `FORMATS` for each module path.
        scope: Of `Quantize`.
    """
    found = []
    for name, make in _PASSES.items():
        if name in assignment.values():
            keep = tuple(path for path, chosen in assignment.items() if chosen != name)
            found.append(make(keep, scope))
    return found


def work_factor(name: str) -> float:
    """What a multiply-add costs in a format, relative to one of float32."""
    return _WORK.get(name, _INTEGER_WORK)
