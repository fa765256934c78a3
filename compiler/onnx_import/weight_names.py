"""Names for weights that an exporter left without one, from the layers that read them."""

import re
from dataclasses import replace

from .call import Value
from .node_names import dotted
from .steps import Step, Steps

_MADE_UP = re.compile(r"onnx::\w+_\d+")  # PyTorch's exporter, for weights that it transposed
_ROLES = {1: "weight", 2: "bias"}
_LAYERS = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def name_weights(steps: Steps) -> Steps:
    """The same model; "onnx::MatMul_12" of node "/encoder/fc/MatMul" is "encoder.fc.weight".

    A name that another weight has, or that several layers would give, stays as it is.
    """
    taken = {value.name for value in steps.constants()}
    wanted: dict[int, tuple[Value, set[str]]] = {}
    for step in steps.steps:
        for index, value in enumerate(step.call.inputs):
            if value is not None and value.is_weight and _MADE_UP.fullmatch(value.name):
                wanted.setdefault(id(value), (value, set()))[1].add(_name(step, index))
    renamed: dict[int, Value] = {}
    for key, (value, names) in wanted.items():
        name = names.pop() if len(names) == 1 else ""
        if name and name not in taken:
            taken.add(name)
            renamed[key] = replace(value, name=name)
    return replace(steps, steps=[_with_values(step, renamed) for step in steps.steps])


def _name(step: Step, index: int) -> str:
    """The name that a weight has in the module that the node came from; "" if none is known."""
    path = dotted(step.call.name).rpartition(".")[0] if step.call.name.startswith("/") else ""
    role = _ROLES.get(index) if step.call.op_type in _LAYERS else None
    return f"{path}.{role}" if path and role else ""


def _with_values(step: Step, renamed: dict[int, Value]) -> Step:
    inputs = [
        value if value is None else renamed.get(id(value), value) for value in step.call.inputs
    ]
    return replace(step, call=replace(step.call, inputs=inputs))
