"""Products of int8 by the instructions that cores have for them give the bytes of PyTorch."""

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn
from tvm import te

import penjing
from penjing.compiler.ir.tensor_spec import TensorSpec
from penjing.compiler.lowering.builder import KernelBuilder
from penjing.compiler.lowering.rules.integer_taps import Rows, pack_columns, rows_together
from penjing.compiler.lowering.rules.integer_words import in_pairs, pack_windows, pack_words
from penjing.compiler.lowering.rules.quantized_products import linear_int8
from penjing.compiler.lowering.rules.windows import Window
from penjing.compiler.pass_manager import optimize
from penjing.passes import FoldQuantization
from penjing.targets.cpu.codegen import assembly, lower_kernel
from penjing.targets.cpu.schedule import schedule_kernel
from penjing.targets.host import runs_here
from penjing.targets.registry import get
from penjing.targets.target import Target

from ..quantization.quantized_models import quantized_program
from .inner_loops import inner_loops

DOTS = {  # what ends a product of two vectors of words, and instructions for each
    "arm-a76": (r"\s+sdot\s", 1.2),
    "arm-a55": (r"\s+sdot\s", 1.2),
    "arm-a72": (r"\s+sadalp\s", 3.65),
    "x86-64-v2": (r"\s+pmaddwd\s", 3.6),
    "x86-64-v4": (r"\s+vpmaddwd\s", 2.75),
    "x86-64-v4 with VNNI": (r"\s+vpdpbusd\s", 1.75),
}


class Residual(nn.Module):
    """A layer beside its input, whose channels are repeated."""

    def __init__(self, layer: nn.Module, times: int = 1) -> None:
        super().__init__()
        self.layer, self.times = layer, times

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = torch.relu(self.layer(x) + torch.cat([x] * self.times, 1))
        return y


X86 = ["x86-64-v2", "x86-64-v3", "x86-64-v4"]
ARM = ["arm-a55", "arm-a72", "arm-a76"]
LAYERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "linear": (lambda: nn.Linear(37, 53), (9, 37)),
    "one row": (lambda: nn.Linear(64, 40), (1, 64)),
    "pointwise": (lambda: nn.Conv2d(20, 33, 1), (2, 20, 5, 7)),
    "strided pointwise": (lambda: nn.Conv2d(8, 16, 1, stride=2), (1, 8, 7, 9)),
    "first layer": (lambda: nn.Conv2d(3, 16, 3, 2, 1), (1, 3, 13, 10)),
    "window": (lambda: nn.Conv2d(12, 10, 3, padding=1), (1, 12, 6, 7)),
    "dilated": (lambda: nn.Conv2d(5, 9, 3, padding=2, dilation=2), (1, 5, 8, 9)),
    "depthwise": (lambda: nn.Conv2d(48, 48, 3, padding=1, groups=48), (2, 48, 7, 9)),
    "tall depthwise": (lambda: nn.Conv2d(9, 9, (5, 2), (2, 1), groups=9), (1, 9, 12, 6)),
    "dilated depthwise": (
        lambda: nn.Conv2d(32, 32, 3, 2, 2, dilation=2, groups=32),
        (1, 32, 11, 8),
    ),
    "depthwise sequence": (lambda: nn.Conv1d(13, 13, 4, 3, 2, groups=13), (1, 13, 19)),
    "five rows": (lambda: nn.Conv2d(13, 13, 5, 1, 2, groups=13), (1, 13, 7, 7)),
    "sequence": (lambda: nn.Conv1d(6, 11, 5, padding=2), (1, 6, 17)),
    "residual": (lambda: Residual(nn.Conv2d(72, 72, 1)), (1, 72, 5, 7)),
    "wide residual": (lambda: Residual(nn.Conv2d(16, 128, 1), 8), (1, 16, 3, 3)),
    "volume": (lambda: nn.Conv3d(3, 5, 2), (1, 3, 4, 5, 6)),
}


def core(name: str) -> Target:
    """A target by its name, or one of x86 that multiplies words, too."""
    level, _, vnni = name.partition(" with ")
    more = {"x86-64-v3": "+avxvnni", "x86-64-v4": "+avx512vnni"}
    target = get(level)
    return replace(target, features=(*target.features, more[level])) if vnni else target


def check_bytes(layer: str, target: str, threads: int = 1) -> None:
    make, shape = LAYERS[layer]
    torch.manual_seed(0)
    x = torch.randn(shape)
    program = optimize(quantized_program(make(), x), [FoldQuantization()])
    artifact = penjing.compile(program, target=target, threads=threads)
    for given in (x, torch.full_like(x, 1e9), torch.full_like(x, -1e9)):
        wanted = program.run(given)
        wanted = wanted if isinstance(wanted, torch.Tensor) else wanted[0]
        np.testing.assert_array_equal(artifact.run(given)[0], wanted.numpy())


@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_host_gives_the_bytes_of_pytorch(layer: str) -> None:
    check_bytes(layer, "host")


@pytest.mark.parametrize("target", X86)
@pytest.mark.parametrize("layer", ["linear", "window", "depthwise", "wide residual"])
def test_x86_without_dots_gives_the_same(layer: str, target: str) -> None:
    if not runs_here(get(target)):
        pytest.skip(f"this machine cannot run {target}")
    check_bytes(layer, target)


@pytest.mark.parametrize("layer", ["linear", "window", "depthwise"])
def test_threads_give_the_same(layer: str) -> None:
    check_bytes(layer, "host", threads=2)


@pytest.mark.slow
@pytest.mark.qemu
@pytest.mark.parametrize("target", ARM)
@pytest.mark.parametrize("layer", sorted(LAYERS))
def test_arm_gives_the_same(layer: str, target: str) -> None:
    check_bytes(layer, target)


@pytest.mark.parametrize("target", sorted(DOTS))
def test_inner_loops_are_dots(target: str) -> None:
    pattern, most = DOTS[target]
    dots = re.compile(pattern)
    loops = inner_loops(linear_code(core(target), 128, 384, 96))
    counts = [sum(bool(dots.match(line)) for line in loop.instructions) for loop in loops]
    best = max(range(len(loops)), key=counts.__getitem__)
    assert counts[best] >= 32
    assert len(loops[best].instructions) <= most * counts[best]
    most_spills = counts[best] // 80  # what LLVM keeps for the end of a tile may cost some
    assert "sadalp" in pattern or len(loops[best].spills) <= most_spills


def test_vectors_of_eight_words() -> None:
    assert "vpdpbusd" in linear_code(core("x86-64-v3 with VNNI"), 8, 64, 16)


def test_weights_of_minus_128_are_not_summed_in_pairs() -> None:
    """-128 * -128 * 2 does not fit 16 bits."""
    code = [linear_code(core("arm-a72"), 8, 64, 16, lowest=low) for low in (-127, -128)]
    assert ["sadalp" in text for text in code] == [True, False]


def test_pairs_of_elements_lie_by_column() -> None:
    words = pack_words(np.arange(16, dtype=np.int8).reshape(4, 4))  # [column, element]
    moved = in_pairs(words.reshape(1, 4)).view(np.int8)
    np.testing.assert_array_equal(moved[0, :8], [0, 1, 4, 5, 8, 9, 12, 13])
    np.testing.assert_array_equal(moved[0, 8:], [2, 3, 6, 7, 10, 11, 14, 15])


def test_words_hold_four_elements_in_order() -> None:
    words = pack_words(np.arange(-3, 4, dtype=np.int8)[None])
    assert words.shape == (1, 2)
    np.testing.assert_array_equal(words.view(np.int8), [[-3, -2, -1, 0, 1, 2, 3, 0]])


def test_windows_hold_the_channels_of_one_tap_after_the_other() -> None:
    weight = np.arange(5 * 3 * 2 * 2, dtype=np.int8).reshape(5, 3, 2, 2)
    panels = pack_windows(weight, panel=4)
    assert panels.shape == (2, 2, 2, 4)  # panels, rows of taps, words of 2 * 3 elements, columns
    row = np.ascontiguousarray(panels[1, 1, :, 0]).view(np.int8)
    np.testing.assert_array_equal(row, [*weight[4, :, 1, 0], *weight[4, :, 1, 1], 0, 0])
    assert not panels[1, :, :, 1:].any()


def test_columns_are_zero_where_a_row_of_results_reads_no_tap() -> None:
    weight = np.arange(1, 7, dtype=np.int8).reshape(1, 1, 3, 2)
    rows = Rows(together=2, taps=3, columns=2, stride=1, dilation=1)
    packed = pack_columns(weight, rows=rows)
    assert packed.shape == (2, 2, 1, 1)  # row of results, column, words, channel
    bytes_ = packed.view(np.int8).reshape(2, 2, 4)
    np.testing.assert_array_equal(bytes_[0], [[1, 3, 5, 0], [2, 4, 6, 0]])
    np.testing.assert_array_equal(bytes_[1], [[0, 1, 3, 5], [0, 2, 4, 6]])


@pytest.mark.parametrize(
    ("taps", "stride", "together", "words"),
    [(3, 1, 2, 1), (5, 1, 4, 2), (3, 2, 1, 1), (7, 1, 2, 2)],
)
def test_rows_of_results_share_words(taps: int, stride: int, together: int, words: int) -> None:
    weight = te.placeholder((8, 1, taps, taps), "int8", name="weight")
    before = (taps // 2,) * 2
    window = Window(stride=(stride,) * 2, dilation=(1, 1), before=before, after=before)
    rows = rows_together(weight, window)
    assert (rows.together, rows.words) == (together, words)


def linear_code(target: Target, rows: int, depth: int, columns: int, *, lowest: int = 0) -> str:
    """The assembly of a linear layer of int8."""
    x = te.placeholder((rows, depth), "int8", name="x")
    weight = te.placeholder((columns, depth), "int8", name="weight")
    bias, multiplier = (te.placeholder((columns,), "int32", name=n) for n in ("bias", "scale"))
    kernel = KernelBuilder(target, {weight: np.full((columns, depth), lowest, "int8")})
    out = TensorSpec((rows, columns), "int8")
    result = linear_int8(x, weight, bias, multiplier, -5, 3, -128, 127, out=out, kernel=kernel)
    reads = [x, *(packed.tensor for packed in kernel.packed), bias, multiplier]
    func = te.create_prim_func([*reads, result])
    scheduled = schedule_kernel(func, target, inputs=len(reads), parallel=False)
    return assembly([lower_kernel(scheduled, "kernel", target)], target)
