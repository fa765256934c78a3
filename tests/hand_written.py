"""A small model whose kernels are written in C, to test what comes after code generation.

v = relu(x w + b);  sums = sum of each row of v, through a workspace
outputs: v flattened, sums, x (copied), w (copied), sums again (copied)
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from penjing import targets
from penjing.compiler.artifact import Artifact
from penjing.compiler.library.build import build_library
from penjing.compiler.lowering.program import Lowered
from penjing.compiler.planning import plan_memory
from penjing.compiler.toolchain import find_toolchain
from penjing.targets.target import Target

from .lowered_builder import LoweredBuilder

ROWS, INNER, COLUMNS = 3, 5, 4

_KERNELS = """
void NAME_k0(const float *x, const float *w, const float *b, float *v)
{
    for (int i = 0; i < 3; i++)
        for (int j = 0; j < 4; j++) {
            v[i * 4 + j] = b[j];
            for (int k = 0; k < 5; k++)
                v[i * 4 + j] += x[i * 5 + k] * w[k * 4 + j];
        }
}

void NAME_k1(const float *v, float *result)
{
    for (int i = 0; i < 12; i++)
        result[i] = v[i] > 0 ? v[i] : 0;
}

void NAME_k2(const float *v, float *sums, float *scratch)
{
    for (int i = 0; i < 12; i++)
        scratch[i] = v[i];
    for (int i = 0; i < 3; i++)
        sums[i] = scratch[4 * i] + scratch[4 * i + 1] + scratch[4 * i + 2] + scratch[4 * i + 3];
}
"""

# The same loop as NAME_k1, as TVM writes loops that may run on several threads.
_PARALLEL_KERNEL = """
typedef struct { void *sync; int tasks; } environment;
typedef int (*task)(int, environment *, void *);
__attribute__((weak)) int (*__TVMBackendParallelLaunch)(task, void *, int);
struct data { const float *v; float *result; };

static int body(int task, environment *env, void *pointer)
{
    struct data *d = pointer;
    for (int i = task; i < 12; i += env->tasks)
        d->result[i] = d->v[i] > 0 ? d->v[i] : 0;
    return 0;
}

int NAME_k1(const float *v, float *result)
{
    struct data d = {v, result};
    return __TVMBackendParallelLaunch(body, &d, 0);
}
"""


def make_lowered(target: Target, name: str = "model", threads: int = 1, seed: int = 0) -> Lowered:
    """The calls of the model."""
    random = np.random.default_rng(seed)
    build = LoweredBuilder(name, target, threads)
    x = build.input(ROWS, INNER)
    w = build.constant(random.standard_normal((INNER, COLUMNS), np.float32))
    b = build.constant(random.standard_normal(COLUMNS, np.float32))
    macs = ROWS * INNER * COLUMNS
    (product,) = build.call(f"{name}_k0", [x, w, b], (ROWS, COLUMNS), macs=macs)
    (v,) = build.call(f"{name}_k1", [product], (ROWS, COLUMNS), inplace=((0, 0),))
    (sums,) = build.call(f"{name}_k2", [v], (ROWS,), workspaces=(ROWS * COLUMNS,))
    return build.build(build.view(v, ROWS * COLUMNS), sums, x, w, sums)


def compile_kernels(target: Target, name: str = "model", threads: int = 1) -> bytes:
    """The object file of the kernels."""
    first, last = _KERNELS.split("void NAME_k1")
    text = (
        first + _PARALLEL_KERNEL + last[last.index("void NAME_k2") :] if threads > 1 else _KERNELS
    )
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "kernels.c").write_text(text.replace("NAME", name))
        options = ["-O1", "-g0", "-fPIC", "-fno-stack-protector", "-c", "kernels.c"]
        find_toolchain(target).run([*options, "-o", "kernels.o"], Path(folder))
        return Path(folder, "kernels.o").read_bytes()


def make_artifact(
    target: str = "host",
    name: str = "model",
    threads: int = 1,
    weights: str = "embed",
    seed: int = 0,
) -> Artifact:
    """The model as a library."""
    device = targets.get(target)
    lowered = make_lowered(device, name, threads, seed)
    kernels = compile_kernels(device, name, threads)
    return build_library(lowered, plan_memory(lowered), kernels, weights=weights)


def example_input(seed: int = 1) -> np.ndarray:
    """Something to run the model on."""
    return np.random.default_rng(seed).standard_normal((ROWS, INNER), np.float32)


def reference(x: np.ndarray, seed: int = 0) -> list[np.ndarray]:
    """What the model computes, by numpy."""
    random = np.random.default_rng(seed)
    w = random.standard_normal((INNER, COLUMNS), np.float32)
    b = random.standard_normal(COLUMNS, np.float32)
    v = np.maximum(x @ w + b, 0)
    return [v.reshape(-1), v.sum(1), x, w, v.sum(1)]


def assert_matches(outputs: Sequence[np.ndarray], x: np.ndarray, seed: int = 0) -> None:
    """Fail unless the outputs are the model's."""
    for output, expected in zip(outputs, reference(x, seed), strict=True):
        np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-5)
