from textwrap import dedent

import numpy as np
import pytest
import torch
from torch import nn

import penjing
from penjing.compiler.errors import CompileError
from penjing.compiler.frontend.trace import trace
from penjing.compiler.pass_manager import optimize
from penjing.passes import ReducePrecision
from penjing.passes.pipeline import CPU_PIPELINE, cpu_pipeline
from tests.support import after, optimized

# Of the largest output, for networks of a few layers.
TOLERANCES = {"float16": 2e-3, "bfloat16": 2e-2}


def _layers() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 3), nn.LayerNorm(3), nn.ReLU(), nn.Linear(3, 2))


class _Exponential(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        values: torch.Tensor = self.layer(x)
        return values.relu().exp()


class _Tied(nn.Module):
    """A language model without layers: its embedding is its last layer too."""

    def __init__(self, tokens: int = 5, size: int = 4) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(tokens, size)
        self.head = nn.Linear(size, tokens, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.embedding(tokens))
        return scores


class _Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.query = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        query = self.query(x)
        return nn.functional.scaled_dot_product_attention(query, x, x, attn_mask=mask)


def _images() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 24, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(24),
        nn.ReLU6(),
        nn.Conv2d(24, 24, 3, padding=1, groups=24),
        nn.Hardswish(),
        nn.Conv2d(24, 40, 1),
        nn.MaxPool2d(2),
        nn.Conv2d(40, 40, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(40, 10),
    )
    return layers.eval(), torch.randn(1, 3, 33, 33)


def _sequence() -> tuple[nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(48, 4, 96, activation="gelu", batch_first=True)
    return nn.Sequential(layer, nn.Linear(48, 20)).eval(), torch.randn(2, 9, 48)


def test_layers_and_what_follows_them_work_on_16_bits() -> None:
    text = after([ReducePrecision()], _Exponential(), 2, 4, tolerance=TOLERANCES["float16"])
    assert text == dedent("""
        %0 = input x: f32[2,4]
        %1 = aten._to_copy(%0, dtype=f16): f16[2,4]
        %2 = aten.linear(%1, @layer.weight, @layer.bias): f16[2,3]
        %3 = aten.relu(%2): f16[2,3]
        %4 = aten._to_copy(%3, dtype=f32): f32[2,3]
        %5 = aten.exp(%4): f32[2,3]
        return %5
        """)


def test_kept_modules_stay_float32() -> None:
    passes = [ReducePrecision(dtype="bfloat16", keep=("1",))]
    assert after(passes, _layers(), 2, 4, tolerance=TOLERANCES["bfloat16"]) == dedent("""
        %0 = input input: f32[2,4]
        %1 = aten._to_copy(%0, dtype=bf16): bf16[2,4]
        %2 = aten.linear(%1, @0.weight, @0.bias): bf16[2,3]
        %3 = aten._to_copy(%2, dtype=f32): f32[2,3]
        %4 = aten.layer_norm(%3, [3], @1.weight, @1.bias): f32[2,3]
        %5 = aten.relu(%4): f32[2,3]
        %6 = aten._to_copy(%5, dtype=bf16): bf16[2,3]
        %7 = aten.linear(%6, @3.weight, @3.bias): bf16[2,2]
        %8 = aten._to_copy(%7, dtype=f32): f32[2,2]
        return %8
        """)


def test_weights_only_are_widened_where_they_are_read() -> None:
    program = optimized(
        [ReducePrecision(weights_only=True)], _Tied(), torch.tensor([[1, 2]]), tolerance=1e-3
    )
    assert "\n" + str(program) == dedent("""
        %0 = input tokens: i64[1,2]
        %1 = aten.embedding(@embedding.weight, %0): f16[1,2,4]
        %2 = aten._to_copy(%1, dtype=f32): f32[1,2,4]
        %3 = aten._to_copy(@embedding.weight, dtype=f32): f32[5,4]
        %4 = aten.linear(%2, %3): f32[1,2,5]
        return %4
        """)


def test_masks_saturate() -> None:
    """A query without any key would have NaN as its result if the mask became minus infinity."""
    model, x = _Attention().eval(), torch.randn(1, 3, 4)
    lowest = torch.finfo(torch.float32).min
    mask = torch.tensor([[0, lowest, 0], [lowest, 0, lowest], [lowest, lowest, lowest]])
    program = optimize(trace(model, (x, mask)), [ReducePrecision()])
    assert "aten.clamp(%1, -65504.0, 65504.0)" in str(program)
    got, wanted = program.run(x, mask)[0], model(x, mask)[0]
    torch.testing.assert_close(got[:2], wanted[:2], rtol=0, atol=5e-3)
    assert got.isfinite().all()


def test_the_report_has_the_error_of_the_weights() -> None:
    model = nn.Linear(2, 1, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[2.0, 1 + 2**-11]]))
    details = optimized([ReducePrecision()], model, 1, 2, tolerance=1e-3).reports[-1].details
    assert details == {"weights": 1, "largest_weight_error": 2**-12}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_weights_beyond_float16_stay(dtype: str) -> None:
    model = nn.Linear(2, 1)
    with torch.no_grad():
        model.weight.fill_(1e5)
    passes = [ReducePrecision(dtype=dtype)]  # type: ignore[arg-type]
    (report,) = optimized(passes, model, 1, 2, tolerance=2e-2).reports
    assert report.rewrites == (dtype == "bfloat16")
    reasons = [skip.reason for skip in report.skips]
    assert reasons == ["a weight or number is too large for float16"] * (dtype == "float16")


def test_other_types_stay() -> None:
    model = _layers().double()
    (report,) = optimized([ReducePrecision()], model, torch.randn(2, 4).double()).reports
    assert report.rewrites == 0


def test_unknown_modules_are_refused() -> None:
    with pytest.raises(CompileError, match="keep names no module") as caught:
        optimize(
            trace(_layers().eval(), (torch.randn(2, 4),)), [ReducePrecision(keep=("encoder",))]
        )
    assert "keep='encoder'" in caught.value.got


def test_unknown_types_are_refused() -> None:
    with pytest.raises(CompileError, match="must be float16 or bfloat16"):
        penjing.compile(
            _layers(), (torch.randn(2, 4),), target="host", passes="reduce-precision{dtype=float8}"
        )


def test_it_runs_after_the_rewrites_of_the_pipeline() -> None:
    chosen = ReducePrecision()
    assert cpu_pipeline([chosen]) == [*CPU_PIPELINE[:-1], chosen, CPU_PIPELINE[-1]]


def test_running_the_pipeline_again_changes_nothing() -> None:
    model, x = _images()
    for weights_only in (False, True):
        passes = cpu_pipeline([ReducePrecision(weights_only=weights_only)])
        program = optimize(trace(model, (x,)), passes)
        again = optimize(program, CPU_PIPELINE).reports[len(program.reports) :]
        assert {report.name: report.rewrites for report in again if report.rewrites} == {}


@pytest.mark.parametrize("make", [_images, _sequence])
@pytest.mark.parametrize("weights_only", [False, True])
@pytest.mark.parametrize(
    ("target", "dtype", "half"),
    [
        ("host", "float16", "storage"),
        ("host", "bfloat16", "storage"),
        pytest.param("arm-a72", "float16", "storage", marks=pytest.mark.qemu),
        pytest.param("arm-a76", "float16", "arithmetic", marks=pytest.mark.qemu),
        pytest.param("arm-a76", "bfloat16", "storage", marks=pytest.mark.qemu),
        pytest.param("armv7-a9", "float16", "storage", marks=pytest.mark.qemu),
    ],
)
def test_values_and_sizes(
    make: object, weights_only: bool, target: str, dtype: str, half: str
) -> None:
    model, x = make()  # type: ignore[operator]
    passes = [ReducePrecision(dtype=dtype, weights_only=weights_only)]  # type: ignore[arg-type]
    artifact = penjing.compile(model, (x,), target=target, passes=passes, half=half)
    (got,) = artifact.run(x)
    wanted = model(x).detach().numpy()
    tolerance = TOLERANCES[dtype] * (5 if half == "arithmetic" else 1)
    assert np.abs(got - wanted).max() < tolerance * np.abs(wanted).max()
    assert got.dtype == np.float32
    assert not np.array_equal(got, wanted)
    weights = sum(parameter.nbytes for parameter in model.parameters())
    assert artifact.report.weights_bytes < 0.62 * weights


def test_a_tied_embedding_is_stored_once() -> None:
    model, tokens = _Tied(128, 64).eval(), torch.tensor([[1, 2, 127]])
    passes = [ReducePrecision(weights_only=True)]
    wide = penjing.compile(model, (tokens,), target="host")
    artifact = penjing.compile(model, (tokens,), target="host", passes=passes)
    assert artifact.report.weights_bytes == wide.report.weights_bytes / 2
    (got,) = artifact.run(tokens)
    np.testing.assert_allclose(got, model(tokens).detach().numpy(), rtol=0, atol=0.05)
