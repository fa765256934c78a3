"""A model named on the command line -> the object to compile and its example inputs."""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from ..errors import CompileError
from ..frontend.trace import trace
from ..ir.program import Program


def load_model(
    text: str, input_shapes: Sequence[str], open_sizes: Sequence[str] = ()
) -> tuple[Any, Any]:
    """(model, example inputs or None) for a MODEL of the command line.

    Args:
        text: The MODEL.
        input_shapes: Each --input.
        open_sizes: Each --shape, for an ONNX model, which becomes a Program.

    Raises:
        CompileError: There is no such model, or an option does not suit it.
    """
    path = Path(text)
    inputs = parse_inputs(input_shapes)
    if path.suffix == ".onnx":
        return trace(path, inputs, shapes=parse_sizes(open_sizes)), None
    if open_sizes:
        raise CompileError("--shape is for ONNX models", got=text, fix="give --input 1x3x224x224")
    if path.suffix == ".pt2":
        return _load_exported(path), inputs
    if path.suffix == ".penjing":
        _check_exists(path)
        return Program.load(path), inputs
    model = load_object(
        text, kinds="FILE.pt2, FILE.onnx, FILE.penjing, FILE.py:NAME or MODULE:NAME"
    )
    if isinstance(model, tuple) and len(model) == 2:
        model, own_inputs = model
        return model, own_inputs if inputs is None else inputs
    return model, inputs


def load_object(text: str, *, call: bool = True, kinds: str = "FILE.py:NAME or MODULE:NAME") -> Any:
    """What `FILE.py:NAME` or `MODULE:NAME` names; functions and classes are called for it.

    Raises:
        CompileError: There is no such thing.
    """
    place, colon, name = text.rpartition(":")
    if not colon or not place or not name:
        raise CompileError(f"cannot load {text!r}", fix=f"give {kinds}")
    value = _find(place, name)
    return _call(value, text) if call else value


def parse_inputs(shapes: Sequence[str]) -> Any:
    """Zeros for `1x3x8x8`, `8:int64` (a tuple of them) or `name=SHAPE` (a dict); None for no text.

    Raises:
        CompileError: A text of another form, or named and unnamed inputs mixed.
    """
    if not shapes:
        return None
    named = [text.rpartition("=") for text in shapes]
    if not any(name for name, _, _ in named):
        return tuple(_zeros(text) for text in shapes)
    if not all(name for name, _, _ in named):
        raise CompileError("either all inputs are named or none", got=" ".join(shapes))
    return {name: _zeros(shape) for name, _, shape in named}


def parse_sizes(texts: Sequence[str]) -> dict[str, tuple[int, ...] | int]:
    """What `image=1x3x224x224` and `batch=1` say, by name.

    Raises:
        CompileError: A text of another form.
    """
    sizes: dict[str, tuple[int, ...] | int] = {}
    for text in texts:
        name, _, shape = text.rpartition("=")
        numbers = shape.split("x") if shape else []
        if not name or not all(number.isascii() and number.isdigit() for number in numbers):
            raise CompileError(
                "cannot read a shape", got=text, fix="write it as image=1x3x224x224 or batch=1"
            )
        shape_of_name = tuple(map(int, numbers))
        sizes[name] = shape_of_name[0] if len(shape_of_name) == 1 else shape_of_name
    return sizes


def _zeros(text: str) -> torch.Tensor:
    shape, _, dtype_name = text.partition(":")
    dtype = getattr(torch, dtype_name or "float32", None)
    sizes = [] if shape == "" else shape.split("x")
    if not isinstance(dtype, torch.dtype) or not all(size.isdigit() for size in sizes):
        raise CompileError(
            "cannot read the shape of an input",
            got=text,
            fix="write it as 1x3x224x224, 1x128:int64 or name=1x128:int64",
        )
    return torch.zeros([int(size) for size in sizes], dtype=dtype)


def _load_exported(path: Path) -> Any:
    _check_exists(path)
    try:
        return torch.export.load(path)
    except Exception as error:  # whatever the zip reader and the deserializer raise
        raise CompileError(
            f"{path} is not a program that torch.export.load can read: {error}",
            fix="save it with torch.export.save, by the torch version used here",
        ) from error


def _check_exists(path: Path) -> None:
    if not path.is_file():
        raise CompileError(f"there is no file {path}")


def _find(place: str, name: str) -> Any:
    module = _import_file(Path(place)) if place.endswith(".py") else _import_module(place)
    value: Any = module
    for part in name.split("."):
        if not hasattr(value, part):
            raise CompileError(f"{place} defines no {name}")
        value = getattr(value, part)
    return value


def _import_file(path: Path) -> ModuleType:
    _check_exists(path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None, path
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent.resolve()))  # it may import its neighbors
    spec.loader.exec_module(module)
    return module


def _import_module(name: str) -> ModuleType:
    sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module exists but imports something that does not
        raise CompileError(
            f"there is no module {name}", fix="run from its folder, or give FILE.py:NAME"
        ) from error


def _call(value: Any, text: str) -> Any:
    """The object itself: a function or class is called without arguments."""
    if isinstance(value, torch.nn.Module) or not callable(value):
        return value
    try:
        return value()
    except TypeError as error:
        raise CompileError(
            f"calling {text} without arguments failed: {error}",
            fix="name a function without arguments that gives what is asked for",
        ) from error
