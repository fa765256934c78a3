"""TIR as it is printed: statements in the order that a person would write."""

from typing import Any

import tvm_ffi
from tvm import ir, tirx

from ..cpu.stages import collect
from .lanes import elements, in_parts
from .types import lanes_of
from .words import intrinsic


def is_exact(body: Any) -> bool:
    """Whether a float may not be joined with others: it is rounded first.

    Then the rules that made it promise every bit, as those of integers made of floats do.
    """
    return any(
        str(call.op.name).endswith("call_llvm_pure_intrin")
        and intrinsic(int(call.args[0])) == "llvm.arithmetic.fence"
        for call in collect(body, ir.Call)
    )


def without_single_iterations(body: Any) -> Any:
    """Loops that run once as what is in them."""

    def once(loop: Any) -> Any:
        if not isinstance(loop.extent, tirx.IntImm) or int(loop.extent) != 1:
            return loop
        first = loop.min
        return tvm_ffi.structural_map(
            loop.body, (ir.Var, lambda var: first if var.same_as(loop.loop_var) else var)
        )

    return tvm_ffi.structural_map(body, (tirx.For, once))


def inline_steps(body: Any) -> Any:
    """Write `x + 4` for every variable that is bound to it, and `x + 8` for `x + 4 + 4`."""
    known: dict[Any, Any] = {}

    def bind(node: Any) -> Any:
        if _is_step(node.value) and isinstance(node.value.a, ir.Var):
            known[node.var] = node.value
            return tirx.Evaluate(0)
        return node

    def add(node: Any) -> Any:
        if _is_step(node) and isinstance(node.a, tirx.Add) and _is_step(node.a):
            return node.a.a + tirx.const(int(node.a.b) + int(node.b), "int32")
        return node

    callbacks = (
        (ir.Var, lambda var: known.get(var, var)),
        (tirx.Add, add),
        (tirx.Bind, bind),
    )
    return tvm_ffi.structural_map(body, callbacks)


def _is_step(value: Any) -> bool:
    """Whether an expression is another int32 plus a number."""
    is_sum = isinstance(value, tirx.Add) and str(value.ty.dtype) == "int32"
    return is_sum and isinstance(value.b, tirx.IntImm) and not isinstance(value.a, tirx.IntImm)


def flat(node: Any) -> list[Any]:
    """The statements of a sequence, nested ones among them."""
    if not isinstance(node, tirx.SeqStmt):
        return [node]
    return [inner for statement in node.seq for inner in flat(statement)]


def late_declarations(statements: list[Any]) -> list[Any]:
    """The statements with buffers declared right before what first uses memory.

    The one that it fills comes last.
    """
    found: list[Any] = []
    waiting: list[Any] = []
    for statement in statements:
        if isinstance(statement, tirx.AllocBuffer):
            waiting.append(statement)
            continue
        if not isinstance(statement, tirx.Bind) or _reads(statement.value):
            found += sorted(waiting, key=lambda alloc: _stores_in(statement, alloc.buffer))
            waiting = []
        found.append(statement)
    return [*found, *waiting]


def _stores_in(statement: Any, buffer: Any) -> bool:
    return isinstance(statement, tirx.BufferStore) and statement.buffer.same_as(buffer)


def _reads(value: Any) -> bool:
    """Whether an expression loads from a buffer."""
    return bool(collect(value, ir.TensorLoad))


def parts_of_store(store: Any) -> list[tuple[Any, Any]]:
    """The values and places of a store: several if OpenCL C has no such vector."""
    (index,) = store.indices
    if lanes_of(store.buffer) > 1:
        return [(store.value, index)]
    if lanes_of(index) > 1 and not isinstance(index, tirx.Ramp):
        return list(zip(elements(store.value), elements(index), strict=True))
    return list(zip(in_parts(store.value), in_parts(index), strict=True))
