"""The code of matrix products: no spills, few instructions, whatever the shape."""

import numpy as np
import pytest
import torch
from torch import nn

import penjing
from penjing.targets.cpu.tiles import product_tile
from penjing.targets.registry import get

from .inner_loops import linear_loops

TARGETS = ["arm-a72", "arm-a53", "arm-a76", "x86-64-v3", "x86-64-v4", "armv7-a9"]
SHAPES = [  # rows, depth, columns
    (3136, 64, 256),
    (3136, 96, 24),
    (784, 512, 128),
    (196, 1024, 256),
    (49, 320, 1280),
    (12544, 16, 96),
    (12544, 32, 16),
    (3136, 24, 144),
    (128, 384, 1536),
    (1, 768, 2304),
    (2, 768, 768),
    (4, 768, 771),
    (37, 333, 101),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_inner_loops_spill_nothing(target: str, shape: tuple[int, int, int]) -> None:
    loops = linear_loops(target, *shape)
    assert loops or shape[1] < 64, "the loop of a short reduction may be unrolled"
    for loop in loops:
        assert loop.spills == []


@pytest.mark.parametrize(
    ("shape", "most"),
    [
        ((3136, 64, 256), 1.13),  # rows packed: 16 loads of A and 24 of weights for 336 FMLAs
        ((49, 2048, 512), 1.13),
        ((128, 384, 1536), 1.13),
        ((784, 144, 32), 1.18),  # too few columns to pack rows for
        ((1, 768, 2304), 1.58),  # every weight is used once: a load of two for two FMLAs
        ((4, 768, 768), 1.18),
    ],
    ids=str,
)
def test_few_instructions_per_multiply_add(shape: tuple[int, int, int], most: float) -> None:
    loop = max(linear_loops("arm-a72", *shape), key=lambda loop: loop.multiply_adds)
    assert len(loop.instructions) / loop.multiply_adds <= most


@pytest.mark.parametrize("shape", [(49, 64, 40), (50, 37, 97), (7, 5, 3), (2, 9, 21)], ids=str)
@pytest.mark.parametrize("threads", [1, 2])
def test_values_of_partial_tiles(shape: tuple[int, int, int], threads: int) -> None:
    rows, depth, columns = shape
    model = nn.Sequential(nn.Linear(depth, columns), nn.ReLU()).eval()
    x = torch.randn(rows, depth)
    artifact = penjing.compile(model, (x,), target="host", threads=threads)
    want = model(x).detach().numpy()
    np.testing.assert_allclose(artifact.run(x)[0], want, rtol=1e-5, atol=1e-5)


@pytest.mark.qemu
@pytest.mark.parametrize("shape", [(50, 37, 130), (49, 64, 256), (1, 70, 67)], ids=str)
def test_packed_rows_on_arm(shape: tuple[int, int, int]) -> None:
    rows, depth, columns = shape
    model, x = nn.Linear(depth, columns).eval(), torch.randn(rows, depth)
    artifact = penjing.compile(model, (x,), target="arm-a72")
    want = model(x).detach().numpy()
    np.testing.assert_allclose(artifact.run(x)[0], want, rtol=1e-5, atol=1e-5)


@pytest.mark.qemu
def test_a_large_product_costs_little_more_than_its_multiply_adds() -> None:
    model, x = nn.Linear(512, 512).eval(), torch.randn(98, 512)
    count = penjing.compile(model, (x,), target="arm-a72").count_instructions(x)
    assert count <= 1.15 * 98 * 512 * 512 / 4


def test_tiles_waste_no_columns() -> None:
    """Widths that no tile divides: the last panel has as many vectors as it needs."""
    target = get("arm-a72")
    for columns in (24, 144, 257):
        assert product_tile(target, 196, columns, 96).columns % target.lanes(32) == 0
    assert product_tile(target, 1, 768, 768).rows == 1
    assert product_tile(target, 196, 256, 1024, packs=True).packs
    assert not product_tile(target, 196, 16, 1024, packs=True).packs
