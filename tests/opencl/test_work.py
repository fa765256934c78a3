"""What launches compute and move, counted in their loops."""

from typing import Any

from tvm import te, tirx

from penjing.targets.cpu.integer_ops import dot
from penjing.targets.mobile_gpus import MALI_G7X
from penjing.targets.opencl.kernel import Launch
from penjing.targets.opencl.lower import lower_device_kernel


def _launch(*buffers: Any) -> Launch:
    """The one launch of TE stages, the last of which is the result."""
    func = te.create_prim_func(list(buffers))
    kernel = lower_device_kernel(func, "k", MALI_G7X, inputs=len(buffers) - 1)
    (launch,) = kernel.launches
    return launch


def test_indices_and_types_count_as_nothing() -> None:
    x, w = te.placeholder((16,), "float16", "x"), te.placeholder((4,), "float32", "w")

    def scaled(i: Any) -> Any:
        return tirx.max(x[i].astype("float32") * w[i // 4] + 1.0, tirx.const(0, "float32"))

    assert _launch(x, w, te.compute((16,), scaled)).operations == 16 * 3


def test_words_count_the_multiply_adds_inside() -> None:
    x, w = te.placeholder((8,), "int32", "x"), te.placeholder((8,), "int32", "w")
    launch = _launch(x, w, te.compute((8,), lambda i: x[i] + dot(w[i], x[i])))
    assert launch.operations == 8 * (1 + 8)


def test_a_copy_computes_nothing_but_moves_both_sides_once() -> None:
    x = te.placeholder((16,), "int8", "x")
    launch = _launch(x, te.compute((16,), lambda i: x[i].astype("float32")))
    assert (launch.operations, launch.bytes) == (0, 16 + 4 * 16)


def test_a_sum_adds_all_it_reads() -> None:
    x, k = te.placeholder((4, 30), "float32", "x"), te.reduce_axis((0, 30), "k")
    launch = _launch(x, te.compute((4,), lambda i: te.sum(x[i, k] * x[i, k], axis=k)))
    assert launch.operations == 4 * 30 * 2
    assert launch.bytes == 4 * (4 * 30 + 4)
