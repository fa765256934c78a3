"""Names for the tensors that a model takes."""

import inspect
from collections.abc import Sequence

from torch import nn

from ..ir.structure import Structure


def names_of_inputs(model: nn.Module, in_spec: Structure) -> tuple[str, ...]:
    """A distinct name for each tensor of `(args, kwargs)`, from the signature of `forward`.

    What is nested in a parameter has its keys and positions appended: `state_0`.
    """
    positional = _positional_names(model)
    names: list[str] = []
    for is_keyword, first, *rest in in_spec.paths():
        name = first if is_keyword else _name_at(positional, first)
        names.append(_distinct("_".join([name, *map(str, rest)]), names))
    return tuple(names)


def _positional_names(model: nn.Module) -> list[str]:
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = inspect.signature(model.forward).parameters.values()
    return [parameter.name for parameter in parameters if parameter.kind in kinds]


def _name_at(positional: Sequence[str], position: int) -> str:
    if position < len(positional):
        return positional[position]
    return f"args_{position - len(positional)}"


def _distinct(name: str, taken: Sequence[str]) -> str:
    candidate, number = name, 1
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    return candidate
