"""The kernels of Winograd convolutions: what they execute, where they read, on how many threads."""

import re

import numpy as np
import pytest

from penjing import targets
from penjing.targets.cpu.codegen import assembly
from penjing.targets.cpu.winograd import winograd_plan

from ..c_programs import run_guarded, run_under_valgrind
from ..winograd_layers import Layer, error, inputs, lower_layer, make_artifact

ODD = Layer(sizes=(5, 13), depth=7, outputs=18, batch=2, residual=True)
SMALL = Layer(sizes=(8, 8), depth=16, outputs=32)
DIRECT = 1.25  # instructions per multiply-add of four lanes of a direct convolution


@pytest.mark.parametrize("layer", [ODD, SMALL], ids=["odd", "whole tiles"])
def test_nothing_outside_the_buffers(layer: Layer) -> None:
    for (output,) in run_guarded(make_artifact(layer), *inputs(layer)):
        assert error(layer, output) <= 2e-6


@pytest.mark.qemu
def test_nothing_outside_the_buffers_on_arm() -> None:
    for (output,) in run_guarded(make_artifact(ODD, "arm-a72"), *inputs(ODD)):
        assert error(ODD, output) <= 2e-6


def test_valgrind_finds_nothing() -> None:
    assert "0 errors" in run_under_valgrind(make_artifact(ODD, "x86-64-v3"), *inputs(ODD))


@pytest.mark.parametrize(
    "layer",
    [
        Layer(sizes=(56, 56), depth=64, outputs=64, residual=True),
        Layer(sizes=(14, 14), depth=96, outputs=96),
    ],
    ids=["a block each", "parts of steps"],
)
def test_threads(layer: Layer) -> None:
    (alone,) = make_artifact(layer).run(*inputs(layer))
    (together,) = make_artifact(layer, threads=2).run(*inputs(layer))
    np.testing.assert_array_equal(together, alone)


def test_sums_are_stored_nowhere() -> None:
    """Scratch memory is for transformed inputs and products; the epilogue takes the sums."""
    layer = Layer(sizes=(28, 28), depth=32, outputs=32, residual=True)
    target = targets.get("arm-a72")
    raw = lower_layer(layer, target)
    plan = winograd_plan(target, layer.tile, 1, layer.sizes, layer.depth, layer.outputs)
    products = int(np.prod(plan.product_shape[1:]))
    unused = 16  # TVM cuts off the line behind the last position
    assert [size for size, _ in raw.workspaces] == [plan.input_shape[1] - unused, products]


@pytest.mark.parametrize(
    ("size", "channels", "per_multiply_add"),
    [(56, 64, 1.15), (28, 128, 1.18), (14, 256, 1.17), (7, 512, 1.20)],
)
def test_inner_loop_of_products(size: int, channels: int, per_multiply_add: float) -> None:
    layer = Layer(sizes=(size, size), depth=channels, outputs=channels)
    target = targets.get("arm-a72")
    raw = lower_layer(layer, target)
    loop = _busiest_loop(assembly([raw], target))
    adds = sum("fmla" in line for line in loop)
    assert adds >= 112  # eight channels of a full register tile
    assert len(loop) <= per_multiply_add * adds
    assert not any("[sp" in line for line in loop), "spills"


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("size", "channels", "ratio"),
    [(28, 128, 0.265), (7, 512, 0.325), (32, 16, 0.445), (8, 64, 0.295)],
)
def test_instructions_on_arm(size: int, channels: int, ratio: float) -> None:
    """Against a direct convolution with as many multiply-adds as it needs."""
    layer = Layer(sizes=(size, size), depth=channels, outputs=channels)
    executed = make_artifact(layer, "arm-a72").count_instructions(*inputs(layer))
    direct = size**2 * channels**2 * 9 / 4 * DIRECT
    assert executed <= ratio * direct


def _busiest_loop(text: str) -> list[str]:
    """The instructions of the innermost loop with the most multiply-adds."""
    lines = [line.partition("//")[0].rstrip() for line in text.splitlines()]
    labels = {line[:-1]: at for at, line in enumerate(lines) if re.fullmatch(r"\.L\w+:", line)}
    found: list[list[str]] = []
    for at, line in enumerate(lines):
        jump = re.fullmatch(r"\s+(?:b\.\w+|t?cbn?z|tbn?z)\s.*?(\.L\w+)", line)
        if jump and (start := labels.get(jump[1], at)) < at:
            body = [x for x in lines[start:at] if x.startswith("\t") and not x.startswith("\t.")]
            if not any(re.match(r"\tb\.|\tcb|\ttb", x) for x in body):
                found.append([*body, line])
    return max(found, key=lambda body: sum("fmla" in line for line in body))
