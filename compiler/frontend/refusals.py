"""What a traced model must not contain, and how that is said."""

import operator
from collections.abc import Collection

import torch
from torch._ops import OpOverload
from torch.fx import Node

from ..errors import CompileError
from ..ir.program import Origin, Program, origin_of
from ..ir.text import op_name


def refuse_call(node: Node, origin: Origin) -> None:
    """Raise where a traced call has a value that static, flat programs cannot hold."""
    if not isinstance(node.target, OpOverload) and node.target is not operator.getitem:
        raise CompileError(
            "control flow on tensor values, and operators with side effects, are not supported",
            at=str(origin),
            got=op_name(node.target),
            fix="compute both branches and choose with torch.where, unroll loops, remove prints",
        )
    values = node.meta.get("val")
    for value in values if isinstance(values, (tuple, list)) else (values,):
        is_dynamic = isinstance(value, torch.Tensor) and not _is_static(value)
        if is_dynamic or isinstance(value, (torch.SymInt, torch.SymFloat, torch.SymBool)):
            raise CompileError(
                "a size or a Python number depends on the values of a tensor",
                at=str(origin),
                got=f"{op_name(node.target)} -> {_shape_text(value)}",
                fix="use masks (torch.where, multiplication) instead of nonzero, item or x[mask]",
            )


def refuse_random(program: Program) -> None:
    """Raise where a result would differ from call to call."""
    for node in program.graph.nodes:
        tags = getattr(node.target, "tags", ())
        if torch.Tag.nondeterministic_seeded in tags and not _is_determined(node):
            raise CompileError(
                "the model draws random numbers",
                at=str(origin_of(node)),
                got=op_name(node.target),
                fix="pass random tensors as inputs; export in evaluation mode for dropout",
            )


def refuse_kept_state(program: Program, mutated: Collection[str | None]) -> None:
    """Raise where an output depends on a buffer that the model changes.

    A buffer that is only written, or written before it is read, keeps no state: the write is
    left out.
    """
    for node in program.graph.find_nodes(op="get_attr"):
        if node.target in mutated:
            raise CompileError(
                "the model keeps state between calls in a buffer that it reads and changes",
                at=str(node.target),
                got=str(program.weight(node).dtype),
                fix="take the state as an input and return it; batch norm: call model.eval()",
            )


def _is_determined(node: Node) -> bool:
    """Attention and recurrent layers are tagged as random for a dropout that is off."""
    assert isinstance(node.target, OpOverload)
    names = [argument.name for argument in node.target._schema.arguments]
    given = dict(zip(names, node.args, strict=False))
    if "dropout_p" in names:
        return not given.get("dropout_p")
    return "dropout" in names and not (given.get("train") and given.get("dropout"))


def _is_static(value: torch.Tensor) -> bool:
    return all(isinstance(size, int) for size in value.shape)


def _shape_text(value: object) -> str:
    return f"shape {list(value.shape)}" if isinstance(value, torch.Tensor) else str(value)
