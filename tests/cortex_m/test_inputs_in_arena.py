"""Inputs that lie in the arena and are overwritten."""

import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import penjing

from .host_models import STRICT, quantized, run_here

_DRIVER = """
#include <stdio.h>
#include <stdlib.h>
#include "net.h"

int main(void)
{
    unsigned char *arena = malloc(NET_ARENA_BYTES), *x = arena + NET_INPUT0_OFFSET;
    const void *in[1] = {x};
    void *out[1] = {malloc(NET_OUTPUT0_BYTES)};
    if (fread(x, 1, NET_INPUT0_BYTES, stdin) != NET_INPUT0_BYTES)
        return 100;
    in[0] = x + 8;
    if (net_run(in, out, arena, NET_ARENA_BYTES) != PENJING_OVERLAP)
        return 101;
    in[0] = x;
    int status = net_run(in, out, arena, NET_ARENA_BYTES);
    fwrite(out[0], 1, NET_OUTPUT0_BYTES, stdout);
    free(arena), free(out[0]);
    return status;
}
"""


@pytest.mark.parametrize("stream", [False, True])
def test_inputs_may_lie_in_the_arena(stream: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, 2, 1),
        nn.Flatten(),
        nn.Linear(128, 3),
    )
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    program = quantized(model, torch.randn(1, 1, 16, 16))
    plain = penjing.compile(program, target="cortex-m4", name="net", certify=False)
    artifact = penjing.compile(
        program, target="cortex-m4", name="net", certify=False, reuse_inputs=True, stream=stream
    )
    assert artifact.manifest.sizes.arena_bytes < plain.manifest.sizes.arena_bytes + 256
    x = np.random.default_rng(0).integers(-128, 128, program.inputs[0].shape).astype(np.int8)
    (wanted,) = program.run_flat(torch.from_numpy(x))
    np.testing.assert_array_equal(run_here(artifact, [x], tmp_path)[0], wanted.numpy())
    assert ("net_feed_row" in (tmp_path / "net.h").read_text()) is False
    (tmp_path / "place.c").write_text(_DRIVER)
    files = ["net.c", "net_weights.c", "place.c"]
    sanitize = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]
    subprocess.run(["gcc", *STRICT, *sanitize, *files, "-o", "place"], cwd=tmp_path, check=True)
    stored = np.ascontiguousarray(np.moveaxis(x, 1, -1)).tobytes()
    done = subprocess.run(["./place"], cwd=tmp_path, input=stored, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == wanted.numpy().tobytes()
