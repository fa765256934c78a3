from textwrap import dedent
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from penjing.compiler.frontend.trace import trace
from penjing.compiler.pass_manager import optimize
from penjing.passes import FoldBatchNorm
from tests.support import after, optimized

TOLERANCE = 1e-5  # what the pass promises
PASSES = [FoldBatchNorm()]


def _lively(*layers: nn.Module) -> nn.Sequential:
    """The layers in sequence, batch norms with statistics that matter."""
    torch.manual_seed(0)
    for layer in layers:
        if isinstance(layer, _BatchNorm):
            for tensor in (*layer.parameters(), layer.running_mean, layer.running_var):
                if isinstance(tensor, Tensor):
                    nn.init.uniform_(tensor, 0.5, 1.5)
    return nn.Sequential(*layers)


def test_a_batch_norm_joins_the_convolution_before_it() -> None:
    model = _lively(nn.Conv2d(1, 2, 3, bias=False), nn.BatchNorm2d(2), nn.ReLU())
    assert after(PASSES, model, 1, 1, 5, 5, tolerance=TOLERANCE) == dedent("""
        %0 = input input: f32[1,1,5,5]
        %1 = aten.conv2d(%0, @0.weight, @0.bias): f32[1,2,3,3]
        %2 = aten.relu(%1): f32[1,2,3,3]
        return %2
        """)


@pytest.mark.parametrize(
    ("layer", "norm", "shape"),
    [
        (nn.Conv1d(4, 6, 3, padding=1, groups=2), nn.BatchNorm1d(6), (2, 4, 5)),
        (nn.Conv2d(4, 4, 3, stride=2, groups=4), nn.BatchNorm2d(4), (2, 4, 7, 7)),
        (nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, affine=False), (1, 4, 3, 3)),
        (nn.Conv3d(2, 3, 2), nn.BatchNorm3d(3), (1, 2, 3, 4, 5)),
        (nn.ConvTranspose1d(3, 2, 3, stride=2), nn.BatchNorm1d(2), (1, 3, 4)),
        (nn.ConvTranspose2d(4, 6, 2, groups=2, bias=False), nn.BatchNorm2d(6), (1, 4, 3, 3)),
        (nn.ConvTranspose3d(2, 2, 2), nn.BatchNorm3d(2), (1, 2, 2, 3, 2)),
        (nn.Linear(5, 3), nn.BatchNorm1d(3), (4, 5)),
        (nn.Linear(5, 3, bias=False), nn.BatchNorm1d(3, eps=0.1), (4, 5)),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_every_layer_takes_the_batch_norm_after_it(
    layer: nn.Module, norm: nn.Module, shape: tuple[int, ...]
) -> None:
    program = optimized(PASSES, _lively(layer, norm), *shape, tolerance=TOLERANCE)
    assert sum(node.op == "call_function" for node in program.graph.nodes) == 1


@pytest.mark.parametrize(
    ("norm", "layer", "shape"),
    [
        (nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, groups=2, bias=False), (1, 4, 5, 5)),
        (nn.BatchNorm1d(3), nn.Conv1d(3, 2, 2, stride=2), (2, 3, 6)),
        (nn.BatchNorm1d(3), nn.Linear(3, 2), (4, 3)),
    ],
)
def test_a_batch_norm_joins_the_layer_after_it(
    norm: nn.Module, layer: nn.Module, shape: tuple[int, ...]
) -> None:
    program = optimized(PASSES, _lively(norm, layer), *shape, tolerance=TOLERANCE)
    assert sum(node.op == "call_function" for node in program.graph.nodes) == 1


WRITTEN_OUT = dedent("""
    %0 = input input: f32[1,2,4,4]
    %1 = aten.mul.Tensor(%0, @0.scale): f32[1,2,4,4]
    %2 = aten.add.Tensor(%1, @0.shift): f32[1,2,4,4]
    %3 = aten.conv2d(%2, @1.weight, @1.bias, [1,1], [1,1]): f32[1,1,4,4]
    return %3
    """)


def test_zero_padding_keeps_a_batch_norm_out_of_the_layer_after_it() -> None:
    model = _lively(nn.BatchNorm2d(2), nn.Conv2d(2, 1, 3, padding=1))
    assert after(PASSES, model, 1, 2, 4, 4, tolerance=TOLERANCE) == WRITTEN_OUT


class _Wired(nn.Module):
    """A convolution and a batch norm, and whatever `wire` reads of them."""

    def __init__(self, wire: Any) -> None:
        super().__init__()
        self.layers = _lively(nn.Conv2d(1, 1, 3, padding=1), nn.BatchNorm2d(1))
        self.wire = wire

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.wire(*self.layers, x)
        return result


def _call_counts(model: nn.Module, *shape: int) -> dict[str, int]:
    program = optimized(PASSES, model, *shape, tolerance=TOLERANCE)
    names = [str(n.target) for n in program.graph.nodes if n.op == "call_function"]
    return {name.split(".")[1]: names.count(name) for name in names}


class _Unnamed(nn.Module):
    """Weights without a module of their own, as ONNX files have them."""

    mean: Tensor
    variance: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.rand(2, 1, 3, 3))
        for name in ("mean", "variance"):
            self.register_buffer(name, torch.rand(2) + 0.5)

    def forward(self, x: Tensor) -> Tensor:
        layer = nn.functional.conv2d(x, self.kernel)
        normed = nn.functional.batch_norm(layer, self.mean, self.variance)
        return nn.functional.batch_norm(normed.relu(), self.mean, self.variance)


def test_weights_without_a_module_get_a_bias() -> None:
    assert after(PASSES, _Unnamed(), 1, 1, 5, 5, tolerance=TOLERANCE) == dedent("""
        %0 = input x: f32[1,1,5,5]
        %1 = aten.conv2d(%0, @kernel, @kernel_bias): f32[1,2,3,3]
        %2 = aten.relu(%1): f32[1,2,3,3]
        %3 = aten.mul.Tensor(%2, @mean_scale): f32[1,2,3,3]
        %4 = aten.add.Tensor(%3, @mean_shift): f32[1,2,3,3]
        return %4
        """)


def test_a_convolution_with_two_readers_is_left_alone() -> None:
    model = _Wired(lambda conv, norm, x: (lambda y: y + norm(y))(conv(x)))
    assert _call_counts(model, 1, 1, 4, 4) == {"conv2d": 1, "mul": 1, "add": 2}


def test_a_shared_convolution_keeps_its_weights_elsewhere() -> None:
    model = _Wired(lambda conv, norm, x: norm(conv(x)) + conv(x + 1))
    program = optimized(PASSES, model, 1, 1, 4, 4, tolerance=TOLERANCE)
    assert {"layers.0.weight", "layers.0.weight_0"} <= program.weights.keys()


def test_a_batch_norm_over_another_axis_is_written_out() -> None:
    model = _lively(nn.Linear(3, 3), nn.BatchNorm1d(3))
    assert "aten.mul" in after(PASSES, model, 2, 3, 3, tolerance=TOLERANCE)


def test_batch_statistics_are_left_alone() -> None:
    program = trace(_lively(nn.BatchNorm1d(3)).eval(), torch.randn(4, 3))
    norm = program.output_nodes[0]
    norm.args = (*norm.args[:5], True, *norm.args[6:])
    report = optimize(program, PASSES).reports[0]
    assert report.rewrites == 0
    assert [(skip.at, skip.reason) for skip in report.skips] == [
        ("0", "it normalizes by the statistics of the batch")
    ]


def test_a_lone_batch_norm_in_half_precision_is_left_alone() -> None:
    program = trace(_lively(nn.BatchNorm1d(3)).bfloat16().eval(), torch.randn(4, 3).bfloat16())
    (skip,) = optimize(program, PASSES).reports[0].skips
    assert skip.reason == "no layer to fold it into, and bfloat16"


def test_the_report_says_where_each_batch_norm_went() -> None:
    model = _lively(nn.BatchNorm2d(1), nn.ReLU(), nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    report = optimized(PASSES, model, 1, 1, 2, 2, tolerance=TOLERANCE).reports[0]
    assert list(report.details.values()) == [
        "written as multiplication and addition",
        "folded into the layer before it",
    ]
