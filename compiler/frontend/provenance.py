"""Where a traced node comes from in the user's model."""

import re
from pathlib import PurePath
from typing import Any

import torch
from torch.fx import Node

from ..ir.program import Origin

_FRAME = re.compile(r'File "([^"]+)", line (\d+), in')
_COMPILER = PurePath(__file__).parents[1]
_NOT_THE_MODELS = (str(PurePath(torch.__file__).parent), str(_COMPILER), "<")


def origin_of_traced(node: Node, root: str) -> Origin:
    """The module path below `root`, the module type and the innermost line of the model's code."""
    path, module_type = _innermost_module(node.meta.get("nn_module_stack") or {}, root)
    return Origin(path, module_type, _innermost_line(node.meta.get("stack_trace") or ""))


def _innermost_module(stack: dict[str, Any], root: str) -> tuple[str, str]:
    if not stack:
        return "", ""
    path, module_type = list(stack.values())[-1]
    name = module_type if isinstance(module_type, str) else module_type.__qualname__
    path = path.removeprefix("L['self']").removeprefix("L__self__").lstrip(".")
    path = path.partition("@")[0]  # the second and later calls of one module end in @1, @2
    inside = path if not root else f"{path}.".removeprefix(f"{root}.").rstrip(".")
    return inside, name.rpartition(".")[2]


def _innermost_line(trace: str) -> str:
    frames = [(file, line) for file, line in _FRAME.findall(trace) if _is_of_model(file)]
    if not frames:
        return ""
    file, line = frames[-1]
    return f"{PurePath(file).name}:{line}"


def _is_of_model(file: str) -> bool:
    return not file.startswith(_NOT_THE_MODELS)
