"""What is left of an ONNX graph once everything known is calculated: a list of steps."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor

from .call import Call, Value
from .registry import Translation


@dataclass(eq=False)
class Step:
    """One call of a translation.

    Args:
        translation: The function.
        call: What it gets; its values hold fake tensors.
        outputs: What it gives; None where a result has no name.
    """

    translation: Translation
    call: Call
    outputs: list[Value | None]


@dataclass
class Steps:
    """A static, flat model: what to calculate, in order, from which inputs, for which results.

    Args:
        inputs: As the ONNX graph has them, weights left out.
        outputs: The results, in the order of the ONNX graph.
        steps: Producers first.
    """

    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def without_dead(self) -> "Steps":
        """The same with only those steps that an output depends on."""
        needed = {id(leaf) for leaf in leaves(self.outputs)}
        kept: list[Step] = []
        for step in reversed(self.steps):
            if any(id(leaf) in needed for leaf in leaves(step.outputs)):
                kept.append(step)
                needed.update(id(leaf) for leaf in leaves(step.call.inputs))
        return replace(self, steps=kept[::-1])

    def constants(self) -> list[Value]:
        """The values that steps and outputs read and that neither an input nor a step gives."""
        given = {id(leaf) for leaf in leaves(self.inputs)}
        given |= {id(leaf) for step in self.steps for leaf in leaves(step.outputs)}
        read = [leaf for step in self.steps for leaf in leaves(step.call.inputs)]
        distinct = {id(leaf): leaf for leaf in [*read, *leaves(self.outputs)]}
        return [leaf for key, leaf in distinct.items() if key not in given]


def leaves(values: Iterable[Value | None]) -> Iterator[Value]:
    """The values that are no sequences, those in sequences included."""
    for value in values:
        if value is not None and value.items is not None:
            yield from leaves(value.items)
        elif value is not None:
            yield value


def with_tensors(value: Value, tensor_of: Callable[[Value], Tensor | None]) -> Value:
    """The same value with other tensors, for a translation to calculate with."""
    items = value.items
    if items is not None:
        items = [with_tensors(item, tensor_of) for item in items]
    return replace(value, tensor=None if items is not None else tensor_of(value), items=items)


def run_step(step: Step, tensor_of: Callable[[Value], Tensor | None]) -> Sequence[Any]:
    """The results of the step's translation for other tensors."""
    inputs = [v if v is None else with_tensors(v, tensor_of) for v in step.call.inputs]
    return results_of(step.translation(replace(step.call, inputs=inputs)))


def results_of(result: Any) -> tuple[Any, ...]:
    """What a translation returned, one entry for each result."""
    results = result if isinstance(result, tuple) else (result,)
    return tuple(np.asarray(one) if isinstance(one, np.generic) else one for one in results)
