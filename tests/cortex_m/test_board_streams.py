"""Boards that feed their images by rows, and boards that lend the arena to their inputs."""

import numpy as np
import pytest
import torch
from torch import nn

import penjing
from penjing.compiler.artifact import Artifact
from penjing.compiler.runners.boards.emulation import BoardRun, run_program
from penjing.compiler.runners.boards.runner import BoardRunner

from .host_models import quantized

_MAIN = """
#include "board.h"
#include "net.h"
static _Alignas(8) uint8_t arena[NET_ARENA_BYTES];
static _Alignas(8) int8_t result[NET_OUTPUT0_BYTES];
int main(void)
{
    void *const outputs[] = {result};
    int file = board_open_to_read("input"), status = 0;
    FEED
    file = board_open_to_write("output");
    board_write(file, result, sizeof result);
    return status;
}
"""
_BY_ROWS = """
    static _Alignas(8) int8_t row[NET_ROW_BYTES];
    for (uint32_t i = 0; i < NET_ROWS && status == 0; i++) {
        board_read(file, row, sizeof row);
        status = net_feed_row(row, i, outputs, arena, sizeof arena);
    }
"""
_IN_PLACE = """
    int8_t *image = (int8_t *)arena + NET_INPUT0_OFFSET;
    const void *const inputs[] = {image};
    board_read(file, image, NET_INPUT0_BYTES);
    status = net_run(inputs, outputs, arena, sizeof arena);
"""


def _model() -> nn.Module:
    torch.manual_seed(0)
    first = (nn.Conv2d(3, 8, 3, padding=1, stride=2), nn.ReLU())
    second = (nn.Conv2d(8, 8, 3, 2, 1, groups=8), nn.ReLU(), nn.Conv2d(8, 12, 1), nn.ReLU())
    return nn.Sequential(*first, *second, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, 4))


def _run(artifact: Artifact, feed: str, x: torch.Tensor) -> BoardRun:
    model = BoardRunner(artifact.manifest, artifact.folder).model
    sources = {**model.sources, "main.c": _MAIN.replace("FEED", feed)}
    image = x.permute(0, 2, 3, 1).contiguous().numpy().tobytes()
    return run_program(model.core, sources, files={"input": image})


@pytest.mark.qemu
@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m4", "cortex-m55"])
@pytest.mark.parametrize("feed", [_BY_ROWS, _IN_PLACE], ids=["by rows", "in place"])
def test_inputs_that_need_no_memory_of_their_own(core: str, feed: str) -> None:
    program = quantized(_model(), torch.randn(1, 3, 24, 16), target=core)
    x = torch.randint(-128, 128, (1, 3, 24, 16), dtype=torch.int8)
    rows = feed == _BY_ROWS
    artifact = penjing.compile(
        program, target=core, name="net", certify=False, stream=rows, reuse_inputs=not rows
    )
    run = _run(artifact, feed, x)
    assert run.exit_code == 0, run.text
    wanted = program.run_flat(x)[0].numpy()
    np.testing.assert_array_equal(np.frombuffer(run.files["output"], np.int8), wanted.ravel())
    np.testing.assert_array_equal(artifact.run(x)[0], wanted)
