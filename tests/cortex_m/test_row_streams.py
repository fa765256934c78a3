"""The first convolutions of a network, computed row by row."""

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import penjing
from penjing.compiler.c_sources import compile as compile_module
from penjing.compiler.errors import CompileError
from penjing.compiler.ir.program import Program
from penjing.compiler.ir.regions import regions
from penjing.compiler.lowering import front

from .host_models import STRICT, quantized, run_here


def conv(inputs: int, outputs: int, taps: int, stride: int, border: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, taps, stride, border), nn.ReLU())


def depthwise(channels: int, stride: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(channels, channels, 3, stride, 1, groups=channels), nn.ReLU())


def network(*layers: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(4))


NETWORKS = {
    "mobile": (
        network(conv(3, 8, 3, 2, 1), depthwise(8, 1), conv(8, 16, 1, 1, 0), depthwise(16, 2)),
        (44, 16),
    ),
    "odd heights": (network(conv(3, 8, 3, 2, 1), conv(8, 8, 3, 2, 1), depthwise(8, 2)), (29, 16)),
    "no border": (network(conv(1, 8, 5, 2, 0), conv(8, 8, 3, 1, 0), conv(8, 8, 2, 2, 0)), (23, 24)),
    "wide borders": (network(conv(1, 8, 5, 1, 2), conv(8, 8, 4, 3, 3), depthwise(8, 2)), (17, 16)),
    "pooling": (
        network(
            conv(1, 8, 3, 1, 1),
            nn.MaxPool2d(3, 2, 1),
            nn.Conv2d(8, 8, 3, 1, 1),
            nn.Hardswish(),
            nn.AvgPool2d(2),
        ),
        (28, 16),
    ),
    "last is one row": (
        network(conv(1, 8, 3, 2, 1), conv(8, 8, 3, 2, 1), conv(8, 8, 2, 2, 0)),
        (8, 16),
    ),
}


def program_of(name: str) -> Program:
    model, size = NETWORKS[name]
    first = next(m for m in model.modules() if isinstance(m, nn.Conv2d))
    torch.manual_seed(1)
    x = torch.randn(1, first.in_channels, *size)
    model(x)
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
            if layer.bias is not None:
                nn.init.normal_(layer.bias, std=0.1)
    return quantized(model, x)


@pytest.mark.parametrize("name", NETWORKS)
def test_rows_in_stripes_give_the_same_bytes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = program_of(name)
    count = len(front.find_front(program, regions(program)))
    assert count == {"mobile": 4, "pooling": 5}.get(name, 3)
    monkeypatch.setattr(compile_module, "stream_lengths", lambda program: [count])
    artifact = penjing.compile(program, target="cortex-m4", name="net", stream=True, certify=False)
    x = np.random.default_rng(0).integers(-128, 128, program.inputs[0].shape).astype(np.int8)
    (wanted,) = program.run_flat(torch.from_numpy(x))
    np.testing.assert_array_equal(run_here(artifact, [x], tmp_path)[0], wanted.numpy())
    assert f"rows_{count - 1}_of" in (tmp_path / "net_kernels.h").read_text()


def test_streams_need_less_memory() -> None:
    program = program_of("mobile")
    sizes = [
        penjing.compile(program, target="cortex-m4", stream=stream, certify=False).manifest.sizes
        for stream in (True, False)
    ]
    assert sizes[0].arena_bytes < 0.8 * sizes[1].arena_bytes
    assert sizes[0].macs == sizes[1].macs


_FEED = """
#include <stdio.h>
#include <stdlib.h>
#include "net.h"

int main(void)
{
    void *row = malloc(NET_ROW_BYTES), *arena = malloc(NET_ARENA_BYTES);
    void *out[1] = {malloc(NET_OUTPUT0_BYTES)};
    if (net_feed_row(NULL, 0, out, arena, NET_ARENA_BYTES) != PENJING_NULL_INPUT)
        return 100;
    if (net_feed_row(row, NET_ROWS, out, arena, NET_ARENA_BYTES) != PENJING_NULL_INPUT)
        return 101;
    if (net_feed_row(row, 0, out, arena, NET_ARENA_BYTES - 1) != PENJING_SMALL_ARENA)
        return 102;
    if (net_feed_row(out[0], 0, out, arena, NET_ARENA_BYTES) != PENJING_OVERLAP)
        return 103;
    for (int image = 0; image < 2; image++) {
        for (uint32_t i = 0; i < NET_ROWS; i++) {
            if (fread(row, 1, NET_ROW_BYTES, stdin) != NET_ROW_BYTES)
                return 104;
            int status = net_feed_row(row, i, out, arena, NET_ARENA_BYTES);
            if (status != PENJING_OK)
                return status;
        }
        fwrite(out[0], 1, NET_OUTPUT0_BYTES, stdout);
    }
    free(row), free(arena), free(out[0]);
    return 0;
}
"""


def test_images_can_be_fed_row_by_row(tmp_path: Path) -> None:
    program = program_of("odd heights")
    artifact = penjing.compile(program, target="cortex-m4", name="net", stream=True, certify=False)
    artifact.save(tmp_path)
    (tmp_path / "feed.c").write_text(_FEED)
    files = ["net.c", "net_weights.c", "feed.c"]
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    subprocess.run(["gcc", *STRICT, *sanitize, *files, "-o", "feed"], cwd=tmp_path, check=True)
    shape = program.inputs[0].shape
    images = np.random.default_rng(0).integers(-128, 128, (2, *shape)).astype(np.int8)
    data = np.ascontiguousarray(np.moveaxis(images, 2, -1)).tobytes()
    done = subprocess.run(["./feed"], cwd=tmp_path, input=data, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    wanted = [program.run_flat(torch.from_numpy(image))[0].numpy().tobytes() for image in images]
    assert done.stdout == b"".join(wanted)


def test_a_model_without_enough_memory_is_told_about_streams() -> None:
    with pytest.raises(CompileError, match="stream=True") as error:
        penjing.compile(program_of("mobile"), target="cortex-m4,ram=1KB", certify=False)
    assert "bytes more RAM" in error.value.what
    assert "reuse_inputs=True" in error.value.fix


def test_a_network_that_begins_otherwise_is_refused() -> None:
    program = quantized(nn.Sequential(nn.Flatten(), nn.Linear(48, 4)), torch.randn(1, 3, 4, 4))
    with pytest.raises(CompileError, match="row by row"):
        penjing.compile(program, target="cortex-m4", stream=True, certify=False)


def test_the_lines_of_a_stripe_are_readable(tmp_path: Path) -> None:
    artifact = penjing.compile(
        program_of("mobile"), target="cortex-m4", name="net", stream=True, certify=False
    )
    artifact.save(tmp_path)
    text = (tmp_path / "net_kernels.h").read_text()
    assert re.search(r"static void rows_1_of_\w+\(", text)
    start = text.index("static void compute_stripe")
    assert max(map(len, text[start:].partition("\n}")[0].splitlines())) <= 100
