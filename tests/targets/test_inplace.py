"""Which inputs a result may overwrite."""

import tvm
from tvm import s_tir, te

from penjing.compiler.lowering.rules.statements import Statements, for_each, load, store
from penjing.targets.cpu.inplace import inplace_pairs


def test_not_what_statements_read() -> None:
    """Statements read elements in an order of their own, and declare none of it."""
    x = te.placeholder((8,), "float32", name="x")
    other = te.placeholder((8,), "float32", name="other")
    statements = Statements()
    source, result = statements.input(x), statements.output((8,), "float32")
    statements.add(for_each((8,), lambda at: store(result, load(source, [7 - at[0]]), at)))
    (turned,) = statements.tensors("turned")
    y = te.compute((8,), lambda i: turned[i] + x[i] + other[i], name="y")
    sch = s_tir.Schedule(tvm.IRModule({"main": te.create_prim_func([x, other, y])}))
    sch.work_on("main")
    assert inplace_pairs(sch, 2) == ((1, 0),)
