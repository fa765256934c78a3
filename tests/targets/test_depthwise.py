"""The code of depthwise convolutions: few instructions for a multiply-add, no spills."""

import re
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from tvm import te

import penjing
from penjing.compiler.lowering.builder import KernelBuilder
from penjing.compiler.lowering.math.floats import at_least, at_most, like
from penjing.compiler.lowering.rules.depthwise import depthwise
from penjing.compiler.lowering.rules.windows import Images, Window
from penjing.targets.cpu.codegen import assembly, lower_kernel
from penjing.targets.cpu.schedule import schedule_kernel
from penjing.targets.registry import get

from ..support import random_inputs
from .inner_loops import Loop, inner_loops

# height and width of the result, channels, taps per axis, stride
SHAPES = [
    (112, 112, 32, 3, 1),
    (56, 56, 96, 3, 2),
    (56, 56, 144, 3, 1),
    (28, 28, 144, 3, 2),
    (28, 28, 192, 3, 1),
    (14, 14, 576, 3, 1),
    (7, 7, 960, 3, 1),
    (25, 5, 64, 3, 1),
    (14, 14, 100, 5, 1),
    (14, 14, 96, 7, 1),
]


Shape = tuple[int, int, int, int, int]


@cache
def loops(target_name: str, shape: Shape) -> list[Loop]:
    """The inner loops with multiply-adds of a layer that ends in a bias and a ReLU6."""
    *sizes, channels, taps, stride = shape
    target = get(target_name)
    padded = [(size - 1) * stride + taps for size in sizes]
    x = te.placeholder((1, *padded, channels), "float32", name="x")
    w = te.placeholder((channels, 1, taps, taps), "float32", name="w")
    b = te.placeholder((channels,), "float32", name="b")
    kernel = KernelBuilder(target, {w: np.zeros((channels, 1, taps, taps), "float32")})
    window = Window(stride=(stride,) * 2, dilation=(1, 1), before=(0, 0), after=(0, 0))
    images = Images(x, channels_last=True)
    sums = depthwise(images, w, window, sizes, "float32", kernel)

    def element(n: Any, y: Any, x: Any, o: Any) -> Any:
        value = sums(n, o, (y, x)) + b(o)
        return at_most(like(value, 6), at_least(like(value, 0), value))

    out = te.compute((1, *sizes, channels), element, name="output")
    reads = [x, kernel.packed[0].tensor, b]
    func = te.create_prim_func([*reads, out])
    scheduled = schedule_kernel(func, target, inputs=len(reads), parallel=False)
    code = assembly([lower_kernel(scheduled, "kernel", target)], target)
    return [loop for loop in inner_loops(code) if loop.multiply_adds > 3]


@pytest.mark.parametrize("target", ["arm-a72", "arm-a76", "x86-64-v4"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_inner_loops_spill_next_to_nothing(target: str, shape: Shape) -> None:
    for loop in loops(target, shape):
        assert len(loop.spills) <= loop.multiply_adds // 16


@pytest.mark.parametrize(
    ("shape", "most"),  # the first product of each sum is a multiplication, and counts as none
    [
        ((112, 112, 32, 3, 1), 1.95),
        ((56, 56, 96, 3, 2), 2.4),
        ((14, 14, 576, 3, 1), 2.0),
        ((25, 5, 64, 3, 1), 1.95),
        ((14, 14, 100, 5, 1), 1.6),
        ((14, 14, 96, 7, 1), 1.45),
    ],
    ids=str,
)
def test_few_instructions_per_multiply_add(shape: Shape, most: float) -> None:
    loop = max(loops("arm-a72", shape), key=lambda loop: loop.multiply_adds)
    assert len(loop.instructions) / loop.multiply_adds <= most


def test_partial_vectors_are_shorter_vectors() -> None:
    """21 channels are vectors of 16, 4 and 1: none of them runs lane by lane."""
    widths = {
        register
        for loop in loops("x86-64-v4", (14, 14, 21, 3, 1))
        for line in loop.instructions
        for register in re.findall(r"vfmadd\w+\s.*%([xyz])mm", line)
    }
    assert widths == {"x", "z"}


def test_maximum_is_one_instruction_on_arm() -> None:
    lines = [line for loop in loops("arm-a72", SHAPES[0]) for line in loop.instructions]
    assert any("fmax" in line for line in lines)
    assert not any(re.search(r"fcm|bsl|bit|bif", line) for line in lines)


@pytest.mark.parametrize("threads", [1, 2])
def test_values_of_a_network(threads: int) -> None:
    """Layers of every kind that slides a window, whose channels fill no vector."""
    model = nn.Sequential(
        nn.Conv2d(3, 21, 3, 2, 1),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        nn.Conv2d(21, 21, 3, 1, 1, groups=21),
        nn.ReLU6(),
        nn.Conv2d(21, 42, 5, 2, 2, groups=21),
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.AvgPool2d(3, 1, 1),
        nn.Conv2d(42, 42, 3, 1, 2, dilation=2, groups=42),
        nn.AdaptiveAvgPool2d(1),
    ).eval()
    (x,) = random_inputs(1, 3, 96, 96)
    artifact = penjing.compile(model, (x,), target="host", threads=threads)
    with torch.no_grad():
        want = model(x).numpy()
    np.testing.assert_allclose(artifact.run(x)[0], want, rtol=1e-4, atol=1e-5)


@pytest.mark.qemu
@pytest.mark.parametrize("stride", [1, 2])
def test_values_of_rows_far_apart(stride: int) -> None:
    """One row of the input takes more bytes than a load of ARM reaches."""
    model = nn.Conv2d(1201, 1201, 3, stride, 1, groups=1201).eval()
    (x,) = random_inputs(1, 1201, 16, 16)
    artifact = penjing.compile(model, (x,), target="arm-a72")
    with torch.no_grad():
        want = model(x).numpy()
    np.testing.assert_allclose(artifact.run(x)[0], want, rtol=1e-4, atol=1e-5)
