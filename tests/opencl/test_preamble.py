"""Every function of the preamble is valid OpenCL C, whatever instructions a device has."""

from pathlib import Path

import pytest
from tvm import tirx

from penjing.targets.opencl.preamble import HELPERS, preamble
from tests.opencl.kernels import at, buffer, printed, ramp, to
from tests.opencl.runs import device
from tests.opencl.syntax import check_syntax

_ARM = """\
#define cl_arm_integer_dot_product_int8 1
int arm_dot(char4 a, char4 b) __attribute__((const));
"""
_KHRONOS = """\
#define __opencl_c_integer_dot_product_input_4x8bit_packed 1
int dot_4x8packed_ss_int(uint a, uint b) __attribute__((const));
int dot_4x8packed_su_int(uint a, uint b) __attribute__((const));
"""


def test_preambles_have_what_functions_call() -> None:
    text = preamble({"add_groups_int4"})
    assert text.index("dot_bytes_int(int") < text.index("dot_bytes_int4(int4")
    assert text.index("dot_bytes_int4(int4") < text.index("add_groups_int4(")
    assert "multiply_high" not in text
    assert preamble(()) == ""


def test_a_device_takes_all_functions() -> None:
    where = device()
    named = [name for name in HELPERS if "half" not in name]
    if "cl_khr_fp64" not in where.extensions:
        named = [name for name in named if "double" not in name]
    for name in named:
        assert name in preamble({name})
    where.release(where.build(preamble(named)))


@pytest.mark.parametrize("own", ["", _ARM, _KHRONOS], ids=["portable", "arm", "khronos"])
def test_all_functions_are_valid(own: str, tmp_path: Path) -> None:
    check_syntax(own + preamble(HELPERS, {"cl_khr_fp16"}), tmp_path)


def test_half_arithmetic_is_valid(tmp_path: Path) -> None:
    x, y, z = (buffer(name, 8, "float16") for name in "xyz")
    place = ramp(0, 8)
    one = tirx.Broadcast(tirx.const(1, "float16"), 8)
    value = tirx.Select(at(x, place) < at(y, place), at(x, place) * at(y, place) + one, one)
    text = printed(to(z, place, tirx.Max(value, at(y, place))), [x, y], [z], half_arithmetic=True)
    assert text.extensions == {"cl_khr_fp16"}
    check_syntax(preamble(text.helpers, text.extensions) + text.text, tmp_path)
