"""No template accesses memory that is not its own, races, or computes with what nobody set."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from penjing import targets
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.tensor_spec import TensorSpec
from penjing.compiler.lowering.lower import lower
from penjing.compiler.pass_manager import optimize
from penjing.passes.pipeline import cpu_pipeline
from penjing.targets.mobile_gpus import MobileGpu
from penjing.targets.opencl.lower import lower_device_kernel
from tests.lowering import harness
from tests.opencl.operators import as_bytes, as_tensor, zeros
from tests.opencl.programs import run_lowered
from tests.opencl.runs import check_kernel, has_checker
from tests.quantization.test_libraries import integers_of

aten = torch.ops.aten
pytestmark = pytest.mark.skipif(not has_checker(), reason="needs oclgrind")

CASES: dict[str, tuple[Any, ...]] = {
    "gemm": (aten.linear.default, (3, 7), (5, 7), (5,)),
    "gemv": (aten.linear.default, (1, 37), (19, 37), (19,)),
    "batched product": (aten.matmul.default, (2, 3, 5), (2, 5, 7)),
    "convolution": (aten.conv2d.default, (1, 3, 7, 5), (5, 3, 3, 3), (5,), [2, 1], [1, 1]),
    "pointwise": (aten.conv2d.default, (1, 5, 3, 3), (7, 5, 1, 1), (7,)),
    "depthwise": (aten.conv2d.default, (1, 5, 5, 7), (5, 1, 3, 3), (5,), [1, 1], [1, 1], [1, 1], 5),
    "groups": (aten.conv2d.default, (1, 6, 5, 5), (4, 3, 3, 3), None, [1, 1], [0, 0], [1, 1], 2),
    "transposed": (aten.conv_transpose2d.input, (1, 3, 4, 3), (3, 5, 3, 3), (5,), [2, 2], [1, 1]),
    "max pool": (aten.max_pool2d.default, (1, 3, 7, 5), [3, 3], [2, 2], [1, 1]),
    "average": (aten.adaptive_avg_pool2d.default, (1, 5, 7, 5), [1, 1]),
    "softmax": (aten.softmax.int, (3, 13), -1),
    "long softmax": (aten.softmax.int, (2, 300), -1),
    "long norm": (aten.layer_norm.default, (1, 517), [517], (517,), (517,)),
    "long gemv": (aten.linear.default, (1, 515), (6, 515), (6,)),
    "wide average": (aten.adaptive_avg_pool2d.default, (1, 6, 19, 17), [1, 1]),
    "norm": (aten.layer_norm.default, (3, 11), [11], (11,), (11,)),
    "sum of columns": (aten.sum.dim_IntList, (5, 3, 7), [0, 2]),
    "elementwise": (aten.gelu.default, (3, 5, 3)),
    "transposition": (aten.permute.default, (3, 5, 7), [2, 0, 1]),
    "concatenation": (aten.cat.default, [(2, 3), (2, 5)], 1),
    "running sums": (aten.cumsum.default, (3, 9), 1),
    "sorting": (aten.sort.default, (2, 7), 1),
    "attention": (aten.scaled_dot_product_attention.default, (1, 2, 3, 5), *[(1, 2, 7, 5)] * 2),
}  # fmt: skip
OF_VARIABLES = ("batched product", "concatenation", "attention")  # not of an input and weights
SOME = ("gemm", "convolution", "depthwise", "long softmax", "average")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in SOME else pytest.mark.slow) for n in CASES]
)
def test_template_stays_inside(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    op, *shapes = CASES[name]

    def execute(
        function: Any, inputs: Sequence[torch.Tensor], specs: Sequence[TensorSpec | None]
    ) -> list[torch.Tensor]:
        target = targets.get("adreno-7xx")
        assert isinstance(target, MobileGpu)
        kernel = lower_device_kernel(function, "kernel", target, inputs=len(inputs))
        written = [spec for spec in specs if spec is not None]
        arrays = [*map(as_bytes, inputs), *map(zeros, written)]
        results = check_kernel(kernel, arrays, [], tmp_path)[len(inputs) :]
        return [as_tensor(result, spec) for result, spec in zip(results, written, strict=True)]

    monkeypatch.setattr(harness, "TARGET", targets.get("adreno-7xx"))
    monkeypatch.setattr(harness, "execute", execute)
    torch.manual_seed(0)
    first, *rest = map(_argument, shapes)
    constants = rest if name in OF_VARIABLES else map(_constant, rest)
    harness.check(op, first, *constants, atol=1e-5)


@pytest.mark.parametrize("profile", ["adreno-7xx", "opencl,cpu=x86-64-v3"])
def test_images_with_borders_stay_inside(profile: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 5, 3, 2, 1), nn.ReLU(), nn.Conv2d(5, 5, 3, 1, 1, groups=5))
    x = torch.randn(1, 3, 7, 5)
    program = optimize(trace(model.eval(), (x,)), cpu_pipeline([]))
    check = partial(check_kernel, folder=tmp_path)
    (result,) = run_lowered(lower(program, targets.get(profile), name="small"), [x], check)
    torch.testing.assert_close(result, model(x).detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["convolutions", "depthwise", "fused_attention"])
@pytest.mark.parametrize("profile", ["adreno-6xx", "mali-g7x", "opencl,cpu=x86-64-v3"])
def test_integers_stay_inside(name: str, profile: str, tmp_path: Path) -> None:
    program, x = integers_of(name)
    lowered = lower(optimize(program, cpu_pipeline([])), targets.get(profile), name="small")
    found = run_lowered(lowered, [x], partial(check_kernel, folder=tmp_path))[0]
    wanted = program.run(x)
    torch.testing.assert_close(found, wanted if isinstance(wanted, torch.Tensor) else wanted[0])


def _argument(given: Any) -> Any:
    """A tensor for a shape; lists of numbers and the rest as they are."""
    if isinstance(given, tuple):
        return torch.randn(given)
    if isinstance(given, list) and given and isinstance(given[0], tuple):
        return [torch.randn(shape) for shape in given]
    return given


def _constant(given: Any) -> Any:
    return harness.Weight(given) if isinstance(given, torch.Tensor) else given
