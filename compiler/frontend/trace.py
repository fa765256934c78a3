"""`trace`: a model becomes a Program."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.export import ExportedProgram

from ..errors import CompileError
from ..ir.program import Program
from ..ir.verify import verify
from .build import build_program
from .example_inputs import example_call
from .export import Exported, export, exported_by_user
from .fold import fold_constants
from .refusals import refuse_random
from .simplify_constants import simplify_constants

if TYPE_CHECKING:
    from onnx import ModelProto


def trace(
    model: "nn.Module | ExportedProgram | Program | ModelProto | str | Path",
    example_inputs: object = None,
    *,
    shapes: Mapping[str, tuple[int, ...] | int] | None = None,
) -> Program:
    """The model as a Program: static shapes, functional, constants folded, weights copied.

    A module is traced in evaluation mode (dropout does nothing, batch norm uses its running
    statistics) and left as it was. Inputs that are no tensors (numbers, None, strings) are fixed
    to their example's value. What the model would write into its inputs is not written.

    Args:
        model: A module, a program of `torch.export`, a Program (which is copied), or an ONNX
            model: the path of its file, an `onnx.ModelProto` or an `onnx_graphsurgeon.Graph`.
        example_inputs: A tensor, a tuple of positional or a dict of keyword inputs; may be left
            out for exported programs, for models with `example_input_array` or `dummy_inputs`, and
            for ONNX models, which say what they take.
        shapes: For ONNX models that leave sizes open: the shape of an input, or the size of a
            dimension, by name: {"image": (1, 3, 224, 224)} or {"batch": 1}.

    Raises:
        CompileError: The model cannot be exported, has sizes that depend on values, keeps state
            between calls, or draws random numbers; or a file is malformed.
    """
    if _is_onnx(model):
        exported = _exported_onnx(model, example_inputs, shapes)
    elif shapes:
        raise CompileError("shapes are for ONNX models", fix="pass example inputs of these shapes")
    elif isinstance(model, Program):
        return model.copy()
    elif isinstance(model, torch._dynamo.OptimizedModule):
        return trace(model._orig_mod, example_inputs)
    elif isinstance(model, nn.Module):
        exported = export(model, *example_call(model, example_inputs))
    elif isinstance(model, ExportedProgram):
        exported = exported_by_user(model)
    else:
        raise CompileError(
            "cannot trace this object",
            got=type(model).__name__,
            fix="pass an nn.Module, a torch.export.ExportedProgram, a Program or an ONNX model",
        )
    program = build_program(exported)
    fold_constants(program)
    program.tidy()
    simplify_constants(program)
    refuse_random(program)
    verify(program)
    return program


def _is_onnx(model: object) -> bool:
    """Whether it is a path, or of a class of onnx or graphsurgeon, neither of which is imported."""
    names = {f"{cls.__module__.partition('.')[0]}.{cls.__name__}" for cls in type(model).__mro__}
    known = {"onnx.ModelProto", "onnx_graphsurgeon.Graph"}
    return isinstance(model, (str, Path)) or not known.isdisjoint(names)


def _exported_onnx(
    model: object, example_inputs: object, shapes: Mapping[str, tuple[int, ...] | int] | None
) -> Exported:
    from ..onnx_import.importer import import_onnx  # onnx takes half a second to import

    imported = import_onnx(model, example_inputs, shapes)
    exported = export(imported.module, imported.inputs, {})
    return replace(exported, input_names=imported.input_names, output_names=imported.output_names)
