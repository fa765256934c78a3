"""let expressions -> registers.

TVM's LLVM back end simplifies the value of every `let` with all earlier ones substituted into it,
which takes exponential time in nested ones (three chained exponentials: minutes). Stored to a local
buffer and loaded again, the value is opaque to TVM, and LLVM keeps it in a register.
"""

from typing import Any

import tvm
import tvm_ffi
from tvm import ir, tirx

_GUARD = ir.Op.get("prim.if_then_else")


def lets_to_registers(func: Any) -> Any:
    """Compute every `let` of a store before the store, in a local buffer.

    Needs vectorized loops. Those under `if_then_else` stay: their values may not be computed
    outside of it.
    """
    body = tvm_ffi.structural_map(func.body, (tirx.BufferStore, _unfold))
    return tirx.PrimFunc(func.params, body, func.ret_type, func.attrs)


def _unfold(store: Any) -> Any:
    if not _lets(store):
        return store
    guarded = [let for call in _guards(store) for let in _lets(call)]
    statements: list[Any] = []

    def rewrite(node: Any, known: dict[Any, Any]) -> Any:
        """The node without lets; `known` maps variables in scope to the registers they are in."""

        def unfold_let(let: Any) -> Any:
            if any(let.same_as(other) for other in guarded):
                return let
            buffer, place = _register(let.var)
            value = rewrite(let.value, known)
            statements.extend([tirx.AllocBuffer(buffer), tirx.BufferStore(buffer, value, place)])
            return rewrite(let.body, {**known, let.var: tirx.BufferLoad(buffer, place)})

        callbacks = ((tirx.Let, unfold_let), (ir.Var, lambda var: known.get(var, var)))
        return tvm_ffi.structural_map(node, callbacks, order="pre")

    last = rewrite(store, {})
    return tirx.SeqStmt([*statements, last])


def _lets(node: Any) -> list[Any]:
    found: list[Any] = []
    tvm_ffi.structural_walk(node, (tirx.Let, found.append), order="pre")
    return found


def _guards(node: Any) -> list[Any]:
    found: list[Any] = []
    tvm_ffi.structural_walk(node, (ir.Call, found.append), order="pre")
    return [call for call in found if call.op.same_as(_GUARD)]


def _register(var: Any) -> tuple[Any, list[Any]]:
    """A local buffer that holds one value of the variable's type, and the index of all of it."""
    dtype = tvm.DataType(str(var.ty.dtype))
    scalar = str(dtype.with_lanes(1))
    buffer = tirx.decl_buffer((dtype.lanes,), scalar, name=var.name, scope="local")
    return buffer, [tirx.Ramp(0, 1, dtype.lanes) if dtype.lanes > 1 else 0]
