"""Where a traced node comes from in the user's model."""

import re
from pathlib import PurePath
from typing import Any

import torch
from torch.fx import Node

from ..program import Origin

_FRAME = re.compile(r'File "([^"]+)", line (\d+), in')
_TORCH_FOLDER = str(PurePath(torch.__file__).parent)


def origin_of_traced(node: Node) -> Origin:
    """The module path, module type and innermost source line outside PyTorch of a traced node."""
    path, module_type = _innermost_module(node.meta.get("nn_module_stack") or {})
    return Origin(path, module_type, _innermost_line(node.meta.get("stack_trace") or ""))


def _innermost_module(stack: dict[str, Any]) -> tuple[str, str]:
    if not stack:
        return "", ""
    path, module_type = list(stack.values())[-1]
    name = module_type if isinstance(module_type, str) else module_type.__qualname__
    path = path.removeprefix("L['self']").removeprefix("L__self__").lstrip(".")
    return path.split("@")[0], name.rpartition(".")[2]


def _innermost_line(trace: str) -> str:
    frames = [(file, line) for file, line in _FRAME.findall(trace) if _is_users(file)]
    if not frames:
        return ""
    file, line = frames[-1]
    return f"{PurePath(file).name}:{line}"


def _is_users(file: str) -> bool:
    return not file.startswith((_TORCH_FOLDER, "<"))
