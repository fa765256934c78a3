"""16-bit floats as a form of storage: what a kernel computes and keeps for itself is float32.

A parameter of a kernel that is float16 or bfloat16 is widened where it is loaded and rounded where
it is stored. Nothing is rounded in between, not even where the model says so: results are closer to
exact ones than those of 16-bit arithmetic, and conversions are few.
"""

from collections.abc import Collection
from typing import Any

import tvm_ffi
from tvm import ir, tirx

from .stages import collect

HALF_DTYPES = ("float16", "bfloat16")  # no core here computes with the latter
_WIDE = "float32"
_OPERATIONS = (tirx.Add, tirx.Sub, tirx.Mul, tirx.Div, tirx.Min, tirx.Max)
_GUARD = ir.Op.get("prim.if_then_else")


def compute_in_float32(func: Any, params: int, narrow: Collection[str]) -> Any:
    """The function with float32 for every number and scratch buffer of the dtypes `narrow`.

    Needs flat buffers, and vectors that are still loops. Parameters from the one at `params` on
    are scratch buffers too.
    """
    dtypes = {str(load.ty.dtype) for load in collect(func.body, ir.TensorLoad)}
    dtypes |= {str(store.buffer.ty.dtype) for store in collect(func.body, tirx.BufferStore)}
    if not dtypes.intersection(narrow):
        return func
    widening = _Widening(narrow)
    allocated = [alloc.buffer for alloc in collect(func.body, tirx.AllocBuffer)]
    for buffer in (*func.params[params:], *allocated):
        widening.add_scratch(buffer)
    body = widening.of(func.body)
    changed = [widening.buffer(param) for param in func.params]
    return tirx.PrimFunc(changed, body, func.ret_type, func.attrs)


class _Widening:
    """Rewrites expressions from their leaves up: what was narrow is float32 afterwards."""

    def __init__(self, narrow: Collection[str]) -> None:
        self._narrow = narrow
        self._scratch: dict[Any, Any] = {}  # buffer -> the one that takes its place
        self._variables: dict[Any, Any] = {}  # the same for variables of let expressions
        self._callbacks = (
            (ir.Var, self._variable),
            (ir.TensorLoad, self._load),
            (tirx.FloatImm, self._number),
            (tirx.Cast, self._cast),
            *((kind, self._operation) for kind in _OPERATIONS),
            (tirx.Select, self._select),
            (tirx.Shuffle, self._shuffle),
            (ir.Call, self._call),
            (tirx.Let, lambda let: tirx.Let(self._variable(let.var), let.value, let.body)),
            (tirx.Bind, lambda bind: tirx.Bind(self._variable(bind.var), bind.value)),
            (tirx.BufferStore, self._store),
            (tirx.AllocBuffer, self._alloc),
        )

    def of(self, statement: Any) -> Any:
        """The statement, rewritten."""
        return tvm_ffi.structural_map(statement, self._callbacks)

    def add_scratch(self, buffer: Any) -> None:
        """Let a buffer of the kernel itself be float32."""
        if self._is_narrow(buffer):
            self._scratch[buffer] = tirx.decl_buffer(
                list(buffer.ty.shape), _WIDE, buffer.name, scope=buffer.scope(), layout=None
            )

    def buffer(self, buffer: Any) -> Any:
        """The buffer that takes the place of one."""
        return self._scratch.get(buffer, buffer)

    def _is_narrow(self, value: Any) -> bool:
        return str(value.ty.dtype).partition("x")[0] in self._narrow

    def _variable(self, var: Any) -> Any:
        if not isinstance(var.ty, ir.PrimType) or not self._is_narrow(var):
            return var
        return self._variables.setdefault(var, tirx.Var(var.name, _WIDE))

    def _load(self, load: Any) -> Any:
        if load.source in self._scratch:
            return tirx.BufferLoad(self._scratch[load.source], list(load.indices))
        return load.astype(_with_lanes(_WIDE, load)) if self._is_narrow(load) else load

    def _number(self, number: Any) -> Any:
        return tirx.const(number.value, _WIDE) if self._is_narrow(number) else number

    def _cast(self, cast: Any) -> Any:
        wide = _with_lanes(_WIDE, cast)
        return cast.value.astype(wide if self._is_narrow(cast) else str(cast.ty.dtype))

    def _operation(self, node: Any) -> Any:
        return type(node)(node.a, node.b) if self._is_narrow(node) else node

    def _select(self, node: Any) -> Any:
        if not self._is_narrow(node):
            return node
        return tirx.Select(node.condition, node.true_value, node.false_value)

    def _shuffle(self, node: Any) -> Any:
        if not self._is_narrow(node):
            return node
        return tirx.Shuffle(list(node.vectors), list(node.indices))

    def _call(self, call: Any) -> Any:
        if not self._is_narrow(call):
            return call
        assert call.op.same_as(_GUARD), f"{call.op} of 16-bit floats"
        return tirx.if_then_else(*call.args)

    def _store(self, store: Any) -> Any:
        if store.buffer in self._scratch:
            return tirx.BufferStore(self._scratch[store.buffer], store.value, list(store.indices))
        if not self._is_narrow(store.buffer):
            return store
        value = store.value.astype(_with_lanes(str(store.buffer.ty.dtype), store.value))
        return tirx.BufferStore(store.buffer, value, list(store.indices))

    def _alloc(self, alloc: Any) -> Any:
        return tirx.AllocBuffer(self.buffer(alloc.buffer))


def _with_lanes(dtype: str, like: Any) -> str:
    """The dtype with as many lanes as an expression has."""
    _, x, lanes = str(like.ty.dtype).partition("x")
    return dtype + x + lanes
