"""The steps of an ONNX graph as a PyTorch module, which is traced like any other."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import reduce
from typing import Any

import numpy as np
from torch import Tensor, nn

from .arrays import as_tensor, torch_dtype
from .call import Call, Value
from .node_names import dotted
from .registry import Translation
from .steps import Step, Steps, results_of, with_tensors

_ODD = re.compile(r"[^\x20-\x7e]")
# Statistics and steps: training does not change them by gradients.
_MEASURED = {"BatchNormalization": (3, 4), "QuantizeLinear": (1,), "DequantizeLinear": (1,)}


class GraphModel(nn.Module):
    """Calculates the outputs of a list of steps.

    Weights are parameters, or buffers if they are integers, scalars, statistics of batch norms or
    steps of integers, under their names in the ONNX graph: for models that came from PyTorch those
    of the original.
    """

    def __init__(self, steps: Steps) -> None:
        super().__init__()
        self._steps = steps
        self._places: dict[int, str] = {}  # name in this module, by constant
        measured = {id(value) for step in steps.steps for value in _measured(step)}
        for value in steps.constants():
            array = value.numbers()
            if array is not None and torch_dtype(array) is not None:
                is_trained = value.is_weight and id(value) not in measured
                self._places[id(value)] = _add_constant(self, value, array, is_trained)
        self._nodes = [_add_node(self, step) for step in steps.steps]

    def forward(self, *inputs: Any) -> Any:
        """The outputs of the graph: one alone, several as a tuple."""
        tensors = dict(_pairs(self._steps.inputs, inputs))
        for key, place in self._places.items():
            tensors[key] = _at(self, place)
        for step, place in zip(self._steps.steps, self._nodes, strict=True):
            results = _at(self, place)(_call(step, tensors))
            tensors.update(_pairs(step.outputs, results_of(results)))
        outputs = tuple(_tree(value, tensors) for value in self._steps.outputs)
        return outputs[0] if len(outputs) == 1 else outputs


class Node(nn.Module):
    """One node. Its class is named like the operator, its place in the model by the node's name.

    That is how programs, reports and errors get the names of the ONNX graph.
    """

    def __init__(self, translation: Translation) -> None:
        super().__init__()
        self._translation = translation

    def forward(self, call: Call) -> Any:
        """What the translation gives for tensors of PyTorch."""
        return self._translation(call)


class Folder(nn.Module):
    """Holds what has names with a dot behind its own."""


def _measured(step: Step) -> list[Value | None]:
    """The operands of a step that are measured, not learned."""
    places = _MEASURED.get(step.call.op_type, ())
    return [step.call.inputs[place] for place in places if place < len(step.call.inputs)]


def _add_constant(root: nn.Module, value: Value, array: np.ndarray, is_trained: bool) -> str:
    """Register a constant; its place."""
    parent, path, name = _free_place(root, value.name or "constant")
    tensor = as_tensor(array)
    if is_trained and tensor.is_floating_point():
        parent.register_parameter(name, nn.Parameter(tensor))
    else:
        parent.register_buffer(name, tensor)
    return ".".join([*path, name])


def _add_node(root: nn.Module, step: Step) -> str:
    """Register the module of a step; its place. It takes over a folder of the same name."""
    kind = type(_ODD.sub("_", step.call.op_type) or "Node", (Node,), {})
    node = kind(step.translation)
    parent, path, name = _free_place(root, dotted(step.call.name), folders_are_free=True)
    folder = parent._modules.get(name)
    if folder is not None:
        node._modules, node._buffers = folder._modules, folder._buffers
        node._parameters = folder._parameters
    parent._modules[name] = node
    return ".".join([*path, name])


def _free_place(
    root: nn.Module, name: str, *, folders_are_free: bool = False
) -> tuple[nn.Module, list[str], str]:
    """The module to register a name in, the path to it, and the last part of the name.

    The name is followed along its dots; a part that means something else gets an underscore.
    """
    *parts, last = [part or "_" for part in _ODD.sub("_", name).split(".")]
    module, path = root, []
    for part in parts:
        while not isinstance(getattr(module, part, None), nn.Module):
            if not hasattr(module, part):
                module.add_module(part, Folder())
            else:
                part += "_"
        module = getattr(module, part)
        path.append(part)
    while hasattr(module, last):
        if folders_are_free and isinstance(module._modules.get(last), Folder):
            break
        last += "_"
    return module, path, last


def _at(root: nn.Module, place: str) -> Any:
    return reduce(getattr, place.split("."), root)


def _call(step: Step, tensors: dict[int, Tensor | None]) -> Call:
    """The call of a step with the tensors of this run."""
    inputs = [
        value if value is None else with_tensors(value, lambda leaf: tensors.get(id(leaf)))
        for value in step.call.inputs
    ]
    return replace(step.call, inputs=inputs)


def _pairs(
    values: Sequence[Value | None], results: Sequence[Any]
) -> Iterator[tuple[int, Tensor | None]]:
    """The tensor of each value, by the value's identity."""
    for value, result in zip(values, results, strict=False):
        if value is None or result is None:
            continue
        if value.items is not None:
            yield from _pairs(value.items, result)
        else:
            yield id(value), as_tensor(result) if isinstance(result, np.ndarray) else result


def _tree(value: Value, tensors: dict[int, Tensor | None]) -> Any:
    if value.items is not None:
        return [_tree(item, tensors) for item in value.items]
    return tensors.get(id(value))
