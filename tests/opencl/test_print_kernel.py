"""Kernels in OpenCL C: their text, and what they compute."""

import numpy as np
import pytest
from tvm import tirx

from penjing.targets.opencl.types import CannotPrint
from tests.opencl.kernels import at, buffer, in_order, printed, ramp, run, to

ITEM = tirx.Var("i", "int32")


def test_kernels_read_as_written_by_hand() -> None:
    x, weights, y = buffer("x", 32), buffer("weights", 32), buffer("y", 32)
    total, near = buffer("total", 8, scope="local"), buffer("near", 4, scope="local")
    k = tirx.Var("k", "int32")
    first, second = ramp(0, 4), ramp(4, 4)
    step = in_order(
        to(near, first, at(x, ramp(k * 4, 4))),
        to(total, first, at(total, first) + tirx.Broadcast(at(near, 0), 4) * at(weights, first)),
        to(total, second, at(total, second) + tirx.Broadcast(at(near, 3), 4) * at(weights, second)),
    )
    body = in_order(
        tirx.AllocBuffer(total),
        to(total, first, tirx.Broadcast(tirx.const(0, "float32"), 4)),
        to(total, second, at(weights, ramp(8, 4))),
        tirx.For(k, 0, 8, tirx.ForKind.SERIAL, in_order(tirx.AllocBuffer(near), step)),
        to(
            y,
            ramp(ITEM * 8, 4),
            tirx.Max(tirx.Broadcast(tirx.const(0, "float32"), 4), at(total, first)),
        ),
        to(y, ramp(ITEM * 8 + 4, 4), at(total, second)),
    )
    text = printed(body, [x, weights], [y], [(ITEM, 0, 4)])
    assert (
        text.text
        == """\
__kernel void test(__global const float *restrict x, uint x_at,
                   __global const float *restrict weights, uint weights_at,
                   __global float *restrict y, uint y_at)
{
    x += x_at;
    weights += weights_at;
    y += y_at;
    const int i = (int)get_global_id(0);
    if (i >= 4)
        return;
    float4 total0, total1;
    total0 = (float4)(0.0f);
    total1 = vload4(0, weights + 8);
    for (int k = 0; k < 8; k++) {
        float4 near = vload4(0, x + k * 4);
        total0 += near.s0 * vload4(0, weights);
        total1 += near.s3 * vload4(0, weights + 4);
    }
    vstore4(max_float4((float4)(0.0f), total0), 0, y + i * 8);
    vstore4(total1, 0, y + i * 8 + 4);
}
"""
    )
    assert text.helpers == {"max_float4"}
    assert text.private_bytes == 48
    values = np.random.default_rng(0).standard_normal((2, 32), "float32")
    (result,) = run(body, [x, weights], [y], [(ITEM, 0, 4)], *values)
    rows, tables = values[0].reshape(8, 4), values[1]
    expected = np.concatenate(
        [
            np.maximum(0, rows[:, 0].sum() * tables[:4]),
            tables[8:12] + rows[:, 3].sum() * tables[4:8],
        ]
    )
    np.testing.assert_allclose(result.reshape(4, 8), np.tile(expected, (4, 1)), rtol=1e-5)


def test_half_is_float_in_registers() -> None:
    x, y = buffer("x", 12, "float16"), buffer("y", 12, "float16")
    vector = tirx.Cast("float32x4", at(x, ramp(ITEM * 5, 4)))
    element = tirx.Cast("float32", at(x, ITEM * 5 + 4))
    half = tirx.const(0.5, "float32")
    body = in_order(
        to(y, ramp(ITEM * 5, 4), tirx.Cast("float16x4", vector * tirx.Broadcast(half, 4))),
        to(y, ITEM * 5 + 4, tirx.Cast("float16", element * half)),
    )
    text = printed(body, [x], [y], [(ITEM, 0, 2)])
    assert "vstore_half4_rte(vload_half4(0, x + i * 5) * 0.5f, 0, y + i * 5);" in text.text
    assert "vstore_half_rte(vload_half(i * 5 + 4, x) * 0.5f, i * 5 + 4, y);" in text.text
    assert not text.extensions
    values = np.random.default_rng(1).standard_normal(12).astype("float16")
    (result,) = run(body, [x], [y], [(ITEM, 0, 2)], values)
    np.testing.assert_array_equal(result[:10], values[:10] * np.float16(0.5))


def test_half_arithmetic_needs_an_extension() -> None:
    x, y = buffer("x", 4, "float16"), buffer("y", 4, "float16")
    body = to(y, ramp(0, 4), at(x, ramp(0, 4)) + at(x, ramp(0, 4)))
    with pytest.raises(CannotPrint, match="arithmetic of float16"):
        printed(body, [x], [y])
    text = printed(body, [x], [y], half_arithmetic=True)
    assert "vstore4(vload4(0, x) + vload4(0, x), 0, y);" in text.text
    assert text.extensions == {"cl_khr_fp16"}
