"""Applies translations: to numbers at once, to everything else as a step of the model."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from ..ir.tensor_spec import holds
from .call import Call, Value
from .evaluate import byte_count, numbers_of_results, shapes_of_results
from .registry import Translation
from .steps import Step, Steps, leaves
from .values import ValueMaker

MAX_STEPS = 20_000
MAX_NUMBER_BYTES = 1 << 24  # of results calculated here and not in the program
MAX_FILLED_BYTES = 1 << 29  # of what only repeats a number, as weights of sample models do
MAX_TOTAL_BYTES = 1 << 31
MAX_RESULT_BYTES = 1 << 36
_FILLS = ("ConstantOfShape",)


class Calculator:
    """Knows the steps so far and makes values.

    Attributes:
        steps: Grows as operators are applied whose results depend on the inputs.
        make: Makes values.
    """

    def __init__(self) -> None:
        self.steps = Steps()
        self.make = ValueMaker()
        self._bytes_left = MAX_TOTAL_BYTES

    def apply(
        self, function: Translation, call: Call, names: Sequence[str] = ()
    ) -> list[Value | None]:
        """Calculate the results if all inputs are numbers, else take the node as a step.

        Raises:
            CompileError: The translation refuses, PyTorch does, or a result is no dense tensor of
                a dtype and size that programs hold.
        """
        step = Step(function, call, [])
        inputs = list(leaves(call.inputs))
        are_known = all(value.is_known for value in inputs)
        are_numbers = are_known and not any(value.is_weight for value in inputs)
        results = shapes_of_results(step, self.make.fake_mode)
        if results is None and not are_known:
            raise call.refused(
                "the shape of its result, or a branch of its calculation, depends on values of the"
                " inputs of the model"
            )
        if results is None:
            return self._named(numbers_of_results(step), names)
        if all(isinstance(result, np.ndarray) for result in results if result is not None):
            return self._named(results, names)
        if (size := byte_count(results)) > MAX_RESULT_BYTES:
            raise call.refused(f"its result has {size} bytes")
        if are_numbers and not _is_kept(call) and self._affords(call, size):
            return self._named(numbers_of_results(step), names)
        step.outputs = self._named(results, names, _Lazy(step) if are_known else None)
        self._take(step)
        return step.outputs

    def apply_one(
        self, function: Translation, call: Call, inputs: Sequence[Value], name: str = ""
    ) -> Value:
        """The one result of a calculation that stands for a part of a node."""
        part = Call(call.op_type, call.name, call.opset, inputs, domain=call.domain)
        (result,) = self.apply(function, part, [name or call.name])
        assert result is not None
        return result

    def _take(self, step: Step) -> None:
        """Keep a step for the program."""
        for value in leaves(step.outputs):
            tensor = value.tensor
            if tensor is not None and not (holds(tensor.dtype) or tensor.is_complex()):
                dtype = str(tensor.dtype).removeprefix("torch.")
                raise step.call.refused(f"its result is {dtype}, which programs do not hold")
        self.steps.steps.append(step)
        if len(self.steps.steps) > MAX_STEPS:
            raise step.call.refused(f"the graph unrolls to more than {MAX_STEPS} nodes")

    def _named(
        self, results: Sequence[Any], names: Sequence[str], lazy: "_Lazy | None" = None
    ) -> list[Value | None]:
        every = [*names, *[""] * (len(results) - len(names))]
        return [
            self.make.result(name, result, None if lazy is None else lazy.result(index))
            for index, (name, result) in enumerate(zip(every, results, strict=False))
        ]

    def _affords(self, call: Call, size: int) -> bool:
        """Whether to calculate known results here; takes them from what may be calculated."""
        if size > (MAX_FILLED_BYTES if call.op_type in _FILLS else MAX_NUMBER_BYTES):
            return False
        self._bytes_left -= size
        return self._bytes_left >= 0


class _Lazy:
    """The numbers of a step that depends on weights alone, calculated when first asked for."""

    def __init__(self, step: Step) -> None:
        self._step = step
        self._results: tuple[Any, ...] | None = None

    def result(self, index: int) -> Callable[[], np.ndarray]:
        """Gives one of the results."""

        def compute() -> np.ndarray:
            if self._results is None:
                self._results = numbers_of_results(self._step)
            found: np.ndarray = self._results[index]
            return found

        return compute


def _is_kept(call: Call) -> bool:
    """Whether a calculation on numbers stays in the program: dequantized biases of layers."""
    source = call.inputs[0].tensor if call.inputs and call.inputs[0] else None
    is_wide = source is not None and source.dtype is torch.int32 and source.numel() > 1
    return call.op_type == "DequantizeLinear" and is_wide
