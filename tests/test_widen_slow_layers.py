"""Convolutions of integers become ones of real numbers where a core is faster at these."""

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

import penjing
from penjing.compiler.errors import CompileError
from penjing.compiler.ir.program import Program
from penjing.compiler.lowering.slow_integers import slow_integers
from penjing.compiler.pass_manager import optimize
from penjing.passes import FoldQuantization, WidenSlowLayers
from penjing.targets.registry import get

from .quantization.quantized_models import quantized_program

CONV_INT8 = torch.ops.penjing.conv_int8.default
CONV_REAL = torch.ops.aten.conv2d.default


def layers(channels: int = 16, taps: int = 3, stride: int = 1) -> tuple[Program, torch.Tensor]:
    """Two convolutions with a ReLU between, as integers."""
    torch.manual_seed(0)
    x = torch.randn(1, channels, 12, 12)
    first = nn.Conv2d(channels, channels, taps, stride, taps // 2)
    model = nn.Sequential(first, nn.ReLU(), nn.Conv2d(channels, channels, taps, 1, taps // 2))
    return optimize(quantized_program(model, x), [FoldQuantization()]), x


def count(program: Program, operator: Any) -> int:
    return len(program.graph.find_nodes(op="call_function", target=operator))


def widened(program: Program, target: str = "arm-a72") -> Program:
    return optimize(program, [WidenSlowLayers()], target=target)


@pytest.mark.parametrize("target", ["arm-a72", "x86-64-v3"])
def test_three_by_three_taps_are_widened_where_no_instruction_adds_dots(target: str) -> None:
    program, _ = layers()
    before = count(program, CONV_INT8)
    assert before >= 1
    after = widened(program, target)
    assert count(after, CONV_INT8) == 0
    assert count(after, CONV_REAL) == before
    assert after.reports[-1].rewrites == before


@pytest.mark.parametrize(
    ("taps", "stride", "target"), [(1, 1, "arm-a72"), (3, 2, "arm-a72"), (3, 1, "arm-a76")]
)
def test_fast_integers_stay(taps: int, stride: int, target: str) -> None:
    program, _ = layers(64, taps, stride)
    slow = [found.node.args[0] for found in slow_integers(program, get(target), 4)]
    assert len(slow) == (1 if stride == 2 else 0)  # the second layer has no stride


def test_without_winograd_integers_are_faster() -> None:
    program, _ = layers(64)
    assert not list(slow_integers(program, get("arm-a72"), 0))


def test_costs_favor_real_numbers_with_more_channels() -> None:
    shares = []
    for channels in (16, 32, 64):
        (found, *_) = slow_integers(layers(channels)[0], get("arm-a72"), 4)
        shares.append(found.real / found.integers)
    assert all(wide < narrow for narrow, wide in pairwise(shares))


def test_integers_move_by_one_step_at_most() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 16, 12, 12)
    model = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
    program = optimize(quantized_program(model, x), [FoldQuantization()])
    assert count(program, CONV_INT8) == 1
    after = widened(program)
    scale = next(n.args[1] for n in program.graph.nodes if "dequantize" in str(n.target))
    for given in (x, 10 * x, torch.full_like(x, 1e9), torch.full_like(x, -1e9)):
        steps = ((after.run(given) - program.run(given)) / scale).abs()
        assert steps.max() < 1.001
        assert (steps > 0.5).float().mean() < 0.02


def test_the_report_of_folding_names_slow_layers() -> None:
    torch.manual_seed(0)
    x = torch.randn(1, 16, 12, 12)
    program = quantized_program(nn.Sequential(nn.Conv2d(16, 16, 3, padding=1)), x)
    named = [
        optimize(program, [FoldQuantization()], target=target).reports[-1].details
        for target in ("arm-a72", "arm-a76")
    ]
    (slow,) = named[0]["faster as real numbers"]
    assert slow["at"] == "0"
    assert slow["real"] < slow["integers"]
    assert named[1]["faster as real numbers"] == []


def test_a_target_is_needed() -> None:
    with pytest.raises(CompileError, match="needs a target"):
        optimize(layers()[0], [WidenSlowLayers()])


@pytest.mark.slow
@pytest.mark.qemu
def test_widened_layers_execute_fewer_instructions() -> None:
    program, x = layers(32)
    counts = [
        penjing.compile(program, target="arm-a72", passes=passes).count_instructions(x)
        for passes in ([], [WidenSlowLayers()])
    ]
    assert counts[1] < 0.8 * counts[0]


@pytest.mark.slow
@pytest.mark.qemu
def test_six_words_in_a_row_of_taps_need_few_instructions() -> None:
    """The stem of ResNets: with all six in one block, LLVM keeps products in memory."""
    torch.manual_seed(0)
    x = torch.randn(1, 3, 64, 64)
    model = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3), nn.ReLU())
    executed = penjing.compile(quantized_program(model, x), target="arm-a72").count_instructions(x)
    words = 32 * 32 * 64 // 4 * 7 * 6  # three instructions each, and what is around them
    assert executed < 5.4 * words  # over 6 otherwise
