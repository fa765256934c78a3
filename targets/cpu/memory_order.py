"""Points in straight code that loads and stores do not cross, at no cost.

LLVM orders straight code as latencies suggest, and where nearly all registers are in use it then
loads so early, and stores so late, that values go to the stack in between. An empty piece of
assembly that may touch memory keeps its order of loads and stores; computations still move.
"""

from typing import Any

import tvm_ffi
from tvm import ir, tirx

from .stages import collect

_NAME = "penjing_keep_order"
_DEFINITION = f"""
define linkonce_odr hidden i32 @{_NAME}() alwaysinline nounwind {{
  call void asm sideeffect "", "~{{memory}}"()
  ret i32 0
}}
"""


def keep_order() -> Any:
    """The statement that no load and no store crosses."""
    return tirx.Evaluate(tirx.call_extern("int32", _NAME))


def without_order(body: Any) -> Any:
    """A statement whose loads and stores may move, for compilers that are no LLVM."""

    def drop(statement: Any) -> Any:
        return tirx.Evaluate(tirx.const(0, "int32")) if _keeps_order(statement.value) else statement

    return tvm_ffi.structural_map(body, (tirx.Evaluate, drop))


def _keeps_order(value: Any) -> bool:
    name = value.args[0] if isinstance(value, ir.Call) and value.args else None
    return isinstance(name, ir.StringImm) and name.value == _NAME


def define_order(func: Any) -> Any:
    """Give LLVM the definition of what `keep_order` calls, if the function does."""
    if not any(map(_keeps_order, collect(func.body, ir.Call))):
        return func
    definition = ir.StringImm(_DEFINITION)
    body = tirx.AttrStmt(tirx.const(0, "int32"), "pragma_import_llvm", definition, func.body)
    return tirx.PrimFunc(list(func.params), body, func.ret_type, func.attrs)
