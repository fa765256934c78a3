"""The inputs that an ONNX model declares, and the tensors to trace it with."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from onnx import GraphProto, TensorProto, TypeProto, ValueInfoProto
from torch import Tensor

from ..errors import CompileError
from ..ir.tensor_spec import holds
from .element_types import TORCH_DTYPES

MAX_INPUT_BYTES = 1 << 31
Shape = tuple[int, ...]
Shapes = Mapping[str, Any]  # a shape for an input, a number for a named dimension


@dataclass(frozen=True)
class InputSpec:
    """An input as the model declares it.

    Args:
        name: In the ONNX graph.
        kind: "tensor", "sequence" or "optional".
        dtype: None where PyTorch has none.
        dims: A number, the name of a dimension, or None for one without a name; None instead of
            all of them where even their number is open.
        type_name: ONNX's name of the element type.
    """

    name: str
    kind: str
    dtype: torch.dtype | None
    dims: tuple[int | str | None, ...] | None
    type_name: str

    def __str__(self) -> str:
        if self.dims is None:
            return f"{self.name}: {self.type_name} of any shape"
        sizes = ", ".join("?" if size is None else str(size) for size in self.dims)
        return f"{self.name}: {self.type_name}[{sizes}]"


def read_inputs(graph: GraphProto) -> list[InputSpec]:
    """The inputs of a graph that are not also weights, as old files have them."""
    weights = {tensor.name for tensor in graph.initializer}
    weights |= {tensor.values.name for tensor in graph.sparse_initializer}
    return [_read_input(value) for value in graph.input if value.name not in weights]


def _read_input(value: ValueInfoProto) -> InputSpec:
    kind, declared = "tensor", value.type
    which = declared.WhichOneof("value")
    if which in ("sequence_type", "optional_type"):
        kind = which.removesuffix("_type")
        declared = getattr(declared, which).elem_type
        which = declared.WhichOneof("value")
    if which != "tensor_type":
        raise CompileError(
            "an input of the model must be a tensor, or a sequence or optional of tensors",
            at=value.name,
            got=str(which),
        )
    return _tensor_input(value.name, kind, declared.tensor_type)


def _tensor_input(name: str, kind: str, declared: TypeProto.Tensor) -> InputSpec:
    number = declared.elem_type
    known = number in TensorProto.DataType.values()
    type_name = TensorProto.DataType.Name(number).lower() if known else str(number)
    dims = None
    if declared.HasField("shape"):
        dims = tuple(
            dim.dim_value
            if dim.HasField("dim_value") and dim.dim_value >= 0
            else (dim.dim_param or None)
            for dim in declared.shape.dim
        )
    return InputSpec(name, kind, TORCH_DTYPES.get(number), dims, type_name)


def make_inputs(
    specs: Sequence[InputSpec], example_inputs: object, shapes: Shapes | None
) -> list[Any]:
    """A value for each input: the user's, or zeros of the declared shape.

    Args:
        specs: The declared inputs.
        example_inputs: A tensor, a tuple of them, or a dict by name; None to make them.
        shapes: A shape for the name of an input, or a size for the name of a dimension.

    Raises:
        CompileError: A size is still open, or the given inputs are not what the model declares.
    """
    given = _by_name(specs, example_inputs)
    fixed = _checked_shapes(specs, shapes or {})
    sizes = _sizes_of_names(specs, given, fixed)
    return [_make_input(specs, spec, given, fixed, sizes) for spec in specs]


def _checked_shapes(specs: Sequence[InputSpec], shapes: Shapes) -> dict[str, Shape | int]:
    """A number for each dimension and a tuple for each input that the user names."""
    names = [spec.name for spec in specs]
    dimensions = {size for spec in specs for size in spec.dims or () if isinstance(size, str)}
    found: dict[str, Shape | int] = {}
    for name, value in shapes.items():
        sizes = (value,) if isinstance(value, int) else tuple(value)
        if not all(isinstance(size, int) and size >= 0 for size in sizes):
            raise CompileError("sizes are numbers from 0", at=name, got=repr(value))
        if isinstance(value, int) and name in dimensions:
            found[name] = value
        elif name in names:
            found[name] = sizes
        else:
            raise _no_such(name, specs)
    return found


def _by_name(specs: Sequence[InputSpec], example_inputs: object) -> dict[str, Any]:
    if example_inputs is None:
        return {}
    for spec in specs:
        _check_dtype(spec)
    names = [spec.name for spec in specs]
    if isinstance(example_inputs, (Tensor, np.ndarray)):
        example_inputs = (example_inputs,)
    if isinstance(example_inputs, Mapping):
        by_key = {key: name for name in names for key in (identifier(name), name)}
        if unknown := [key for key in example_inputs if key not in by_key]:
            raise _no_such(unknown[0], specs)
        return {by_key[key]: _tensors(value) for key, value in example_inputs.items()}
    if not isinstance(example_inputs, (tuple, list)) or len(example_inputs) != len(names):
        raise CompileError(
            f"the model has {len(names)} inputs: {', '.join(map(str, specs))}",
            got=f"{len(example_inputs)} example inputs"
            if isinstance(example_inputs, (tuple, list))
            else type(example_inputs).__name__,
            fix="pass a tuple in this order, or a dict by these names",
        )
    return dict(zip(names, map(_tensors, example_inputs), strict=True))


def _tensors(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return [_tensors(item) for item in value]
    return torch.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value


def _sizes_of_names(
    specs: Sequence[InputSpec], given: Mapping[str, Any], shapes: Shapes
) -> dict[str, int]:
    """The size of each named dimension that the user or one of the given inputs fixes."""
    by_name = {spec.name: spec for spec in specs}
    sizes = {name: size for name, size in shapes.items() if isinstance(size, int)}
    complete = {name: tuple(value.shape) for name, value in given.items() if _is_tensor(value)}
    complete |= {name: size for name, size in shapes.items() if not isinstance(size, int)}
    for name, shape in complete.items():
        spec = by_name[name]
        if spec.dims is None:
            continue
        _check_shape(spec, shape)
        for wanted, size in zip(spec.dims, shape, strict=True):
            if isinstance(wanted, str) and sizes.setdefault(wanted, size) != size:
                raise CompileError(
                    f"dimension {wanted} has one size in the whole model",
                    at=str(spec),
                    got=f"{size} here, {sizes[wanted]} elsewhere",
                )
    return sizes


def _make_input(
    specs: Sequence[InputSpec],
    spec: InputSpec,
    given: Mapping[str, Any],
    shapes: Shapes,
    sizes: Mapping[str, int],
) -> Any:
    if spec.name in given:
        return _checked(spec, given[spec.name])
    if spec.kind != "tensor":
        raise CompileError(
            f"an input is a {spec.kind}, so an example is needed",
            at=str(spec),
            fix="pass example_inputs, with a list of tensors for a sequence",
        )
    shape = shapes.get(spec.name)
    if shape is None and spec.dims is not None:
        shape = [sizes.get(size) if isinstance(size, str) else size for size in spec.dims]
    if shape is None or None in shape:
        raise _open(specs, sizes)
    _check_dtype(spec)
    assert spec.dtype is not None
    if math.prod(shape) * spec.dtype.itemsize > MAX_INPUT_BYTES:
        raise CompileError(
            f"an input is larger than {MAX_INPUT_BYTES >> 30} GiB", at=str(spec), got=str(shape)
        )
    return torch.zeros(tuple(shape), dtype=spec.dtype)


def _checked(spec: InputSpec, value: Any) -> Any:
    if spec.kind == "tensor" and not _is_tensor(value):
        raise CompileError("an example input must be a tensor", at=str(spec), got=repr(value)[:80])
    tensors = value if isinstance(value, list) else [value]
    for tensor in tensors:
        if not _is_tensor(tensor):
            continue
        if tensor.dtype != spec.dtype:
            raise CompileError(
                "an example input has another type than the model declares",
                at=str(spec),
                got=str(tensor.dtype).removeprefix("torch."),
                fix="convert the example; ONNX does not convert inputs",
            )
        if spec.kind == "tensor" and spec.dims is not None:
            _check_shape(spec, tuple(tensor.shape))
    return value


def _check_shape(spec: InputSpec, shape: Shape) -> None:
    """Refuse a shape that the declared one does not allow."""
    assert spec.dims is not None
    pairs = zip(spec.dims, shape, strict=False)
    differs = any(isinstance(wanted, int) and wanted != size for wanted, size in pairs)
    if len(shape) != len(spec.dims) or differs:
        raise CompileError(
            "a shape is not one that the model declares", at=str(spec), got=str(list(shape))
        )


def _check_dtype(spec: InputSpec) -> None:
    if spec.dtype is None or not holds(spec.dtype):
        raise CompileError(
            "an input has a type that penjing does not compile",
            at=str(spec),
            got=spec.type_name,
            fix="cut the part of the model that reads it off, with onnx-graphsurgeon",
        )


def _open(specs: Sequence[InputSpec], sizes: Mapping[str, int]) -> CompileError:
    """The error for sizes that nobody gave, with everything that could be written."""
    open_specs = [s for s in specs if s.dims is None or any(_is_open(d, sizes) for d in s.dims)]
    names = {size for spec in open_specs for size in spec.dims or () if isinstance(size, str)}
    by_names = dict.fromkeys(sorted(names - set(sizes)), 1)
    is_named = all(s.dims is not None and None not in s.dims for s in open_specs)
    example = open_specs[0]
    shape = tuple(
        size if isinstance(size, int) else sizes.get(str(size), 1) for size in example.dims or (1,)
    )
    fixed: dict[str, Any] = by_names if is_named else {example.name: shape}
    options = " ".join(
        f"--shape '{name}={'x'.join(map(str, size)) if isinstance(size, tuple) else size}'"
        for name, size in fixed.items()
    )
    return CompileError(
        "the model leaves sizes open, and it is compiled for fixed ones",
        got="; ".join(map(str, open_specs)),
        fix=f"with the sizes you need: shapes={fixed!r}, or {options} on the command line, or pass"
        " example inputs",
    )


def _is_open(size: int | str | None, sizes: Mapping[str, int]) -> bool:
    return size is None or (isinstance(size, str) and size not in sizes)


def _is_tensor(value: object) -> bool:
    return isinstance(value, Tensor)


def _no_such(name: object, specs: Sequence[InputSpec]) -> CompileError:
    return CompileError(
        f"the model has no input {name!r}, and no dimension of that name",
        got=f"its inputs are {'; '.join(map(str, specs))}",
        fix='shapes={"input": (1, 3, 224, 224)} or shapes={"dimension": 1}',
    )


def identifier(name: str, role: str = "input") -> str:
    """A name of ONNX, which may hold any character, as one that Python and C accept.

    `role` stands in front of what would start with no letter.
    """
    text = "".join(char if char.isascii() and char.isalnum() else "_" for char in name)
    return text if text[:1].isalpha() else f"{role}_{text}".rstrip("_")
