"""TIR as C: what it looks like, and that compilers agree."""

from textwrap import dedent

import pytest
from tvm import tirx

from penjing.targets.cortex_m.print_c import print_function
from penjing.targets.cortex_m.print_expression import CannotPrint
from penjing.targets.cortex_m.statements import Pointer, block, call, function, loop


def test_loops_sums_and_calls_read_like_c() -> None:
    x, taps, y = Pointer("x", "int8"), Pointer("taps", "int16"), Pointer("y", "int8")
    total = tirx.decl_buffer((1,), "int32", "total", layout=None)

    def add(k: tirx.Var) -> tirx.Stmt:
        product = x.load(k).astype("int32") * (taps.load(k).astype("int32") - 5)
        return tirx.BufferStore(total, total[0] + product, [0])

    rest = tirx.max(tirx.min(total[0] >> 3, 127), -128)
    body = [
        tirx.AllocBuffer(total),
        tirx.BufferStore(total, tirx.const(0, "int32"), [0]),
        loop("k", 3, add),
        call("store", y.at(2), rest << 4),
    ]
    func = function([x, taps, y], body)
    printed = print_function(func, "net", read=2, comment="a layer", micro_kernels=["store"])
    assert printed.text == dedent("""\
        /* a layer */
        static void net(const int8_t *restrict x, const int16_t *restrict taps, int8_t *restrict y)
        {
            int32_t total = 0;
            for (int32_t k = 0; k < 3; k++) {
                total += x[k] * (taps[k] - 5);
            }
            store(y + 2, (int32_t)((uint32_t)max_int32(min_int32(total >> 3, 127), -128) << 4));
        }
        """)
    assert [helper.name for helper in printed.helpers] == ["min_int32", "max_int32"]


def test_conditions_read_from_left_to_right() -> None:
    x, y = Pointer("x", "int32"), Pointer("y", "int32")
    reached = tirx.Select(tirx.const(3, "int32") <= x.load(0), tirx.const(1, "int32"), 0)
    func = function([x, y], [call("store", y.at(), reached + reached)])
    printed = print_function(func, "net", read=1, micro_kernels=["store"])
    assert "store(y, (x[0] >= 3) + (x[0] >= 3));" in printed.text


def test_arrays_on_the_stack_are_refused() -> None:
    y = Pointer("y", "int8")
    array = tirx.decl_buffer((4,), "int32", "array", layout=None)
    func = function([y], [block([tirx.AllocBuffer(array), call("fill", y.at())])])
    with pytest.raises(CannotPrint, match="an array on the stack"):
        print_function(func, "net_layer", read=0)
