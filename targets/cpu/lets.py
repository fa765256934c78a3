"""let expressions -> registers.

TVM's LLVM back end simplifies the value of every `let` with all earlier ones substituted into it,
which takes exponential time in nested ones (three chained exponentials: minutes). Stored to a local
buffer and loaded again, the value is opaque to TVM, and LLVM keeps it in a register.
"""

from typing import Any

import tvm
import tvm_ffi
from tvm import ir, tirx

from .stages import collect

_GUARD = ir.Op.get("prim.if_then_else")


def with_own_variables(func: Any) -> Any:
    """Give every `let` a variable of its own.

    A stage that is inlined twice brings its variables twice, which TVM's analyzer refuses.
    """
    if not _has_lets(func.body):
        return func
    body = tvm_ffi.structural_map(func.body, (tirx.Let, _renamed))
    return tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)


def _renamed(let: Any) -> Any:
    fresh = tirx.Var(let.var.name, str(let.var.ty.dtype))
    body = tvm_ffi.structural_map(
        let.body, (ir.Var, lambda var: fresh if var.same_as(let.var) else var)
    )
    return tirx.Let(fresh, let.value, body)


def lets_to_registers(func: Any) -> Any:
    """Compute every `let` of a store before the store, in a local buffer.

    Needs vectorized loops. An `if_then_else` around a `let` becomes a statement: what it guards
    may not be computed outside of it.
    """
    body = tvm_ffi.structural_map(func.body, (tirx.BufferStore, _unfold_store))
    return tirx.PrimFunc(func.params, body, func.ret_type, func.attrs)


def _unfold_store(store: Any) -> Any:
    if not _has_lets(store):
        return store
    statements: list[Any] = []
    last = _unfold(store, {}, statements)
    return _sequence([*statements, last])


def _unfold(node: Any, known: dict[Any, Any], statements: list[Any]) -> Any:
    """The node without lets, whose values `statements` compute before it.

    `known` maps the variables in scope to the registers they are in.
    """

    def unfold_let(let: Any) -> Any:
        value = _unfold(let.value, known, statements)
        buffer, place = _register(str(let.var.ty.dtype), str(let.var.name))
        statements.extend([tirx.AllocBuffer(buffer), tirx.BufferStore(buffer, value, place)])
        within = {**known, let.var: tirx.BufferLoad(buffer, place)}
        return _unfold(let.body, within, statements)

    def unfold_call(call: Any) -> Any:
        if not call.op.same_as(_GUARD) or not _has_lets(call):
            return call
        condition = _unfold(call.args[0], known, statements)
        buffer, place = _register(str(call.ty.dtype), "chosen")
        statements.append(tirx.AllocBuffer(buffer))
        branches = []
        for branch in call.args[1:]:
            inner: list[Any] = []
            value = _unfold(branch, known, inner)
            branches.append(_sequence([*inner, tirx.BufferStore(buffer, value, place)]))
        statements.append(tirx.IfThenElse(condition, *branches))
        return tirx.BufferLoad(buffer, place)

    callbacks = (
        (tirx.Let, unfold_let),
        (ir.Call, unfold_call),
        (ir.Var, lambda var: known.get(var, var)),
    )
    return tvm_ffi.structural_map(node, callbacks, order="pre")


def _sequence(statements: list[Any]) -> Any:
    return tirx.SeqStmt(statements) if len(statements) > 1 else statements[0]


def _has_lets(node: Any) -> bool:
    return bool(collect(node, tirx.Let))


def _register(dtype: str, name: str) -> tuple[Any, list[Any]]:
    """A local buffer that holds one value of a type, and the index of all of it."""
    lanes = int(tvm.DataType(dtype).lanes)
    scalar = str(tvm.DataType(dtype).with_lanes(1))
    buffer = tirx.decl_buffer((lanes,), scalar, name=name, scope="local")
    return buffer, [tirx.Ramp(0, 1, lanes) if lanes > 1 else 0]
