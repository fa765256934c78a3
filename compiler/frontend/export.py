"""A module as an `ExportedProgram`, in evaluation mode, the user's module left as it was."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram
from torch.export.graph_signature import ConstantArgument, InputKind, OutputKind
from torch.utils import _pytree as pytree

from ..errors import CompileError
from ..ir.structure import Structure
from .decompositions import decomposition_table
from .flat_module import ROOT, FlatModule
from .input_names import names_of_inputs


@dataclass(frozen=True)
class Exported:
    """An exported program, and the model's interface if the program's own is only a flat one.

    Args:
        program: Lifted and functional; its user inputs and outputs are tensors or constants.
        root: Path of the user's model inside of what was exported.
        input_names: A name for each tensor input.
        in_spec: Structure of `(args, kwargs)`.
        out_spec: Structure of the result.
        output_names: A name for each tensor of the result; those of `out_spec` where empty.
    """

    program: ExportedProgram
    root: str
    input_names: tuple[str, ...]
    in_spec: Structure
    out_spec: Structure
    output_names: tuple[str, ...] = ()


def exported_by_user(program: ExportedProgram) -> Exported:
    """The user's exported program, functional and decomposed.

    Raises:
        CompileError: PyTorch cannot make it functional.
    """
    with quiet():
        try:
            return functional(own_interface(program))
        except CompileError:
            raise
        except Exception as error:
            raise _explained("the exported program", error) from error


def functional(exported: Exported) -> Exported:
    """The same without writes to operands, on the level of operators that penjing keeps whole."""
    program = exported.program.run_decompositions(decomposition_table())
    return replace(exported, program=program)


def own_interface(program: ExportedProgram) -> Exported:
    """An exported program with the interface that it says it has."""
    signature, call = program.graph_signature, program.call_spec
    inputs = [spec.arg for spec in signature.input_specs if spec.kind is InputKind.USER_INPUT]
    outputs = [spec.arg for spec in signature.output_specs if spec.kind is OutputKind.USER_OUTPUT]
    names = tuple(arg.name for arg in inputs if not isinstance(arg, ConstantArgument))
    assert call.in_spec is not None
    assert call.out_spec is not None
    in_spec = Structure(call.in_spec, _constants(inputs))
    return Exported(program, "", names, in_spec, Structure(call.out_spec, _constants(outputs)))


def _constants(arguments: list[Any]) -> dict[int, object]:
    entries = enumerate(arguments)
    return {index: arg.value for index, arg in entries if isinstance(arg, ConstantArgument)}


def export(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exported:
    """`torch.export` of the model in evaluation mode, functional and decomposed.

    Non-strict tracing runs the model's Python and follows more models; what it cannot follow is
    tried again by strict tracing, which reads the byte code.

    Raises:
        CompileError: The model fails on its inputs, or neither way can follow it.
    """
    args, kwargs = _own_tensors((args, kwargs))
    with _evaluation_mode(model), quiet():
        try:
            return functional(_export_flat(model, args, kwargs))
        except CompileError:
            raise
        except Exception as error:
            first = error
        _check_runs(model, args, kwargs)
        try:
            program = torch.export.export(model, args, kwargs, strict=True)
            return functional(own_interface(program))
        except Exception:  # what the first way could not follow tells more
            raise _explained(type(model).__name__, first) from first


def _export_flat(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Exported:
    module = FlatModule(model, args, kwargs)
    program = torch.export.export(module, tuple(module.tensors), strict=False)
    names = names_of_inputs(model, module.in_spec)
    return Exported(program, ROOT, names, module.in_spec, module.out_spec)


def _own_tensors(inputs: tuple[tuple[Any, ...], dict[str, Any]]) -> Any:
    """Dense copies, so that two inputs that are one tensor here stay two inputs."""
    return pytree.tree_map_only(
        torch.Tensor,
        lambda tensor: tensor.detach().clone(memory_format=torch.contiguous_format),
        inputs,
    )


@contextmanager
def _evaluation_mode(model: nn.Module) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what PyTorch logs, warns and prints about an export from the user; errors say it."""
    disabled = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)


def _check_runs(model: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Tell the model's own failures from those of tracing."""
    args, kwargs = _own_tensors((args, kwargs))
    try:
        with torch.no_grad():
            model(*args, **kwargs)
    except Exception as error:
        raise CompileError(
            "the model itself fails on its example inputs",
            at=type(model).__name__,
            got=f"{type(error).__name__}: {error}",
            fix="pass inputs that model(*inputs) accepts",
        ) from error


def _explained(what: str, error: Exception) -> CompileError:
    lines = str(error).strip().splitlines()
    return CompileError(
        "PyTorch cannot export the model",
        at=what,
        got=": ".join([type(error).__name__, *lines[:1]]),
        fix="torch.export.export shows more; control flow on tensor values is a common cause",
    )
