"""Kernels that compute in float16: PoCL has no such device, but a compiler can read them."""

from pathlib import Path

import pytest

from penjing import targets
from penjing.compiler.frontend.trace import trace
from penjing.compiler.lowering.lower import lower
from penjing.compiler.lowering.options import KernelOptions
from penjing.compiler.pass_manager import optimize
from penjing.passes import ReducePrecision
from penjing.passes.pipeline import cpu_pipeline
from tests.opencl.runs import source_of
from tests.opencl.syntax import check_syntax
from tests.zoo import make

MODELS = ("own_se_cnn", "own_gru", "own_mobilenet_v2", "bert", "gpt2", "swin", "mobilevit")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n == MODELS[0] else pytest.mark.slow) for n in MODELS]
)
def test_half_arithmetic_is_valid(name: str, tmp_path: Path) -> None:
    model, inputs = make(name)
    program = optimize(trace(model, inputs), cpu_pipeline([ReducePrecision("float16")]))
    options = KernelOptions(threads=1, winograd=0, half_arithmetic=True)
    lowered = lower(program, targets.get("adreno-7xx"), name="half", options=options)
    kernels = list(lowered.device_kernels.values())
    computing = [kernel for kernel in kernels if kernel.extensions]
    assert all(kernel.extensions == {"cl_khr_fp16"} for kernel in computing)
    assert "half4 " in source_of(computing)
    check_syntax(source_of(kernels), tmp_path)
