"""Compiled C files on this computer: built with warnings as errors and sanitizers, and run."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

import penjing
from penjing.compiler.artifact import Artifact
from penjing.compiler.frontend.trace import trace
from penjing.compiler.ir.program import Program
from penjing.compiler.pass_manager import as_passes, optimize
from penjing.passes.pipeline import microcontroller_pipeline

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror")
_DRIVER = """
#include <stdio.h>
#include <stdlib.h>
#include "{name}.h"

static const size_t input_bytes[] = {{{inputs}}}, output_bytes[] = {{{outputs}}};

int main(void)
{{
    void *in[{count_in}], *out[{count_out}], *arena = NULL;
    size_t arena_bytes = {prefix}_ARENA_BYTES;
    for (int i = 0; i < {count_in}; i++) {{
        in[i] = malloc(input_bytes[i]);
        if (fread(in[i], 1, input_bytes[i], stdin) != input_bytes[i])
            return 2;
    }}
    for (int i = 0; i < {count_out}; i++)
        out[i] = malloc(output_bytes[i]);
    arena = malloc(arena_bytes);
    int status = {name}_run((const void *const *)in, out, arena, arena_bytes);
    for (int i = 0; i < {count_out}; i++)
        fwrite(out[i], 1, output_bytes[i], stdout);
    for (int i = 0; i < {count_in}; i++)
        free(in[i]);
    for (int i = 0; i < {count_out}; i++)
        free(out[i]);
    free(arena);
    return status;
}}
"""


def quantized(
    model: torch.nn.Module, x: torch.Tensor, *, target: str = "cortex-m4", passes: str = "quantize"
) -> Program:
    """The program of a model after all passes for a microcontroller, integers in and out."""
    data = [torch.randn_like(x) for _ in range(4)]
    steps = microcontroller_pipeline(as_passes(passes) if passes else [])
    return optimize(trace(model.eval(), (x,)), steps, calibration=data, target=target)


def run_here(artifact: Artifact, inputs: Sequence[np.ndarray], folder: Path) -> list[np.ndarray]:
    """The outputs, computed by the C files of an artifact; arrays as PyTorch has them."""
    manifest, name = artifact.manifest, artifact.manifest.name
    artifact.save(folder)
    sizes = [
        ", ".join(str(entry.spec.nbytes) for entry in entries)
        for entries in (manifest.inputs, manifest.outputs)
    ]
    driver = _DRIVER.format(
        name=name,
        prefix=name.upper(),
        inputs=sizes[0],
        outputs=sizes[1],
        count_in=len(manifest.inputs),
        count_out=len(manifest.outputs),
    )
    (folder / "main.c").write_text(driver)
    files = [f"{name}.c", f"{name}_weights.c", "main.c"]
    sanitize = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
    subprocess.run(
        ["gcc", *STRICT, "-O1", *sanitize, *files, "-o", "model"], cwd=folder, check=True
    )
    if shutil.which("clang"):
        subprocess.run(["clang", *STRICT, "-fsyntax-only", *files[:2]], cwd=folder, check=True)
    data = b"".join(
        _stored(array, entry.channels_last).tobytes()
        for array, entry in zip(inputs, manifest.inputs, strict=True)
    )
    done = subprocess.run(["./model"], cwd=folder, input=data, capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    results, at = [], 0
    for entry in manifest.outputs:
        array = np.frombuffer(done.stdout, entry.spec.dtype, entry.spec.size, at)
        array = array.reshape(entry.stored.shape)
        results.append(np.moveaxis(array, -1, 1) if entry.channels_last else array)
        at += entry.spec.nbytes
    return results


def check_bytes(program: Program, folder: Path, *, target: str = "cortex-m4") -> Artifact:
    """Compile an int8 program and compare its bytes with PyTorch, for random and extreme inputs."""
    artifact = penjing.compile(program, target=target, name="net", certify=False)
    generator = np.random.default_rng(0)
    for kind in ("random", "extreme"):
        values = [-128, 127] if kind == "extreme" else range(-128, 128)
        inputs = [
            generator.choice(np.array(values, np.int8), spec.shape) for spec in program.inputs
        ]
        wanted = program.run_flat(*map(torch.from_numpy, inputs))
        got = run_here(artifact, inputs, folder)
        for array, tensor in zip(got, wanted, strict=True):
            np.testing.assert_array_equal(array, tensor.numpy())
    return artifact


def _stored(array: np.ndarray, channels_last: bool) -> np.ndarray:
    return np.ascontiguousarray(np.moveaxis(array, 1, -1) if channels_last else array)
