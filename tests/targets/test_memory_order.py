"""Loads and stores that LLVM must not move: the mark in the code, and what it prevents."""

import pytest
from tvm import ir, tirx

from penjing.targets.cpu.codegen import RawKernel, assembly, llvm_target
from penjing.targets.cpu.memory_order import define_order, keep_order
from penjing.targets.registry import get


def copies(*, ordered: bool) -> RawKernel:
    """Two vectors copied, the second one only after the first if `ordered`."""
    x = tirx.decl_buffer((8,), "float32", "x")
    y = tirx.decl_buffer((8,), "float32", "y")

    def copy(first: int) -> tirx.Stmt:
        place = [tirx.Ramp(tirx.const(first, "int32"), 1, 4)]
        return tirx.BufferStore(y, tirx.BufferLoad(x, place), place)

    between = [keep_order()] if ordered else []
    body = tirx.SeqStmt([copy(0), *between, copy(4)])
    pointers: list[ir.Var] = []
    for buffer in (y, x):
        pointer = ir.Var(f"{buffer.name}_p", ir.PointerType(ir.PrimType("float32"), "global"))
        pointers.insert(0, pointer)
        body = tirx.SeqStmt([tirx.DeclBuffer(buffer, data=pointer), body])
    func = tirx.PrimFunc(pointers, body).with_attr("global_symbol", "copies")
    func = define_order(func).with_attr("tirx.noalias", True)
    func = func.with_attr("target", llvm_target(get("arm-a72")))
    return RawKernel(func=func, workspaces=(), inplace=(), parallel=False)


@pytest.mark.parametrize(("ordered", "pairs"), [(True, 0), (False, 2)])
def test_loads_do_not_cross_the_mark_to_become_a_pair(ordered: bool, pairs: int) -> None:
    code = assembly([copies(ordered=ordered)], get("arm-a72"))
    assert sum(code.count(f"\t{name}\t") for name in ("ldp", "stp")) == pairs
    assert "\tbl\t" not in code


def test_code_without_a_mark_stays_as_it_is() -> None:
    func = copies(ordered=False).func
    assert define_order(func).same_as(func)
