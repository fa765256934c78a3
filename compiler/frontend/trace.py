"""`trace`: a model becomes a Program."""

import torch
from torch import nn
from torch.export import ExportedProgram

from ..errors import CompileError
from ..ir.program import Program
from ..ir.verify import verify
from .build import build_program
from .example_inputs import example_call
from .export import export, exported_by_user
from .fold import fold_constants
from .refusals import refuse_random
from .simplify_constants import simplify_constants


def trace(model: nn.Module | ExportedProgram | Program, example_inputs: object = None) -> Program:
    """The model as a Program: static shapes, functional, constants folded, weights copied.

    A module is traced in evaluation mode (dropout does nothing, batch norm uses its running
    statistics) and left as it was. Inputs that are no tensors (numbers, None, strings) are fixed
    to their example's value. What the model would write into its inputs is not written.

    Args:
        model: A module, a program of `torch.export`, or a Program (which is copied).
        example_inputs: A tensor, a tuple of positional or a dict of keyword inputs; may be left
            out for exported programs and for models with `example_input_array` or `dummy_inputs`.

    Raises:
        CompileError: The model cannot be exported, has sizes that depend on values, keeps state
            between calls, or draws random numbers.
    """
    if isinstance(model, Program):
        return model.copy()
    if isinstance(model, torch._dynamo.OptimizedModule):
        model = model._orig_mod
    if isinstance(model, nn.Module):
        exported = export(model, *example_call(model, example_inputs))
    elif isinstance(model, ExportedProgram):
        exported = exported_by_user(model)
    else:
        raise CompileError(
            "cannot trace this object",
            got=type(model).__name__,
            fix="pass an nn.Module, a torch.export.ExportedProgram or a Program",
        )
    program = build_program(exported)
    fold_constants(program)
    program.tidy()
    simplify_constants(program)
    refuse_random(program)
    verify(program)
    return program
