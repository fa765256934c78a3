"""One 3 x 3 convolution by Winograd's algorithm as a library: act(conv(x) + bias) + residual."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from tvm import te, tirx

from penjing import targets
from penjing.compiler.artifact import Artifact
from penjing.compiler.library.build import build_library
from penjing.compiler.lowering.builder import KernelBuilder
from penjing.compiler.lowering.math import silu
from penjing.compiler.lowering.options import KernelOptions
from penjing.compiler.lowering.rules.windows import Images
from penjing.compiler.lowering.rules.winograd import overhang, winograd
from penjing.compiler.planning import plan_memory
from penjing.targets.cpu.codegen import RawKernel, compile_kernels, lower_kernel
from penjing.targets.cpu.schedule import schedule_kernel
from penjing.targets.target import Target

from .lowered_builder import LoweredBuilder

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True, kw_only=True)
class Layer:
    """Sizes of a layer with padding 1, so that outputs are as large as inputs."""

    sizes: tuple[int, int]
    depth: int
    outputs: int
    tile: int = 4
    batch: int = 1
    residual: bool = False
    swish: bool = False  # instead of relu

    @property
    def padded(self) -> tuple[int, ...]:
        """Shape of the padded input, overhang included."""
        space = zip(self.sizes, overhang(self.sizes, self.tile), strict=True)
        return self.batch, *(size + 2 + extra for size, extra in space), self.depth

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the output."""
        return self.batch, *self.sizes, self.outputs


def weights(layer: Layer) -> tuple[Array, Array]:
    """Weights [O, C, 3, 3] and bias [O]."""
    random = np.random.default_rng(1)
    scale = np.float32(1 / np.sqrt(9 * layer.depth))
    w = random.standard_normal((layer.outputs, layer.depth, 3, 3), np.float32) * scale
    return w, random.standard_normal(layer.outputs, np.float32)


def inputs(layer: Layer) -> list[Array]:
    """The padded image, what a relu gives, and the residual if there is one."""
    random = np.random.default_rng(2)
    height, width = layer.sizes
    x = np.zeros(layer.padded, np.float32)
    inner = random.standard_normal((layer.batch, *layer.sizes, layer.depth), np.float32)
    x[:, 1 : height + 1, 1 : width + 1] = np.maximum(inner, 0)
    return [x, *([random.standard_normal(layer.shape, np.float32)] if layer.residual else [])]


def reference(layer: Layer) -> Array:
    """The outputs by torch in double precision."""
    w, b = (torch.from_numpy(a).double() for a in weights(layer))
    height, width = layer.sizes
    x = torch.from_numpy(inputs(layer)[0][:, : height + 2, : width + 2]).double()
    y = torch.nn.functional.conv2d(x.permute(0, 3, 1, 2), w, b)
    y = torch.nn.functional.silu(y) if layer.swish else torch.relu(y)
    result = y.permute(0, 2, 3, 1).numpy()
    return np.asarray(result + inputs(layer)[1] if layer.residual else result)


def stages(layer: Layer, target: Target, threads: int = 1) -> tuple[Any, list[Array]]:
    """The PrimFunc of the layer before scheduling, and what its parameters before the output get.

    Those are x, the residual if there is one, packed weights, bias.
    """
    w, b = weights(layer)
    x = te.placeholder(layer.padded, "float32", name="x")
    weight = te.placeholder(w.shape, "float32", name="w")
    bias = te.placeholder(b.shape, "float32", name="b")
    other = te.placeholder(layer.shape, "float32", name="other")
    kernel = KernelBuilder(target, {weight: w}, KernelOptions(threads=threads))
    images = Images(x, channels_last=True)
    sums = winograd(images, weight, layer.sizes, layer.tile, "float32", kernel)

    def plus_bias(n: Any, i: Any, j: Any, o: Any) -> Any:
        image = n if layer.batch > 1 else 0  # as the rules of whole programs write it
        return sums(image, o, (i, j)) + bias[o]

    biased = _stage(layer, plus_bias, "biased")
    activation = silu if layer.swish else relu
    y = _stage(layer, lambda *at: activation(biased(*at)), "activated")
    if layer.residual:
        y = _stage(layer, lambda *at: activation(biased(*at)) + other(*at), "added")
    (packed,) = kernel.packed
    read = [x, *([other] if layer.residual else []), packed.tensor, bias]
    return te.create_prim_func([*read, y]), [*inputs(layer), packed.data, b]


def lower_layer(layer: Layer, target: Target, threads: int = 1) -> RawKernel:
    """The kernel of the layer."""
    func, given = stages(layer, target, threads)
    scheduled = schedule_kernel(func, target, inputs=len(given), parallel=threads > 1)
    return lower_kernel(scheduled, "model_k0", target)


def make_artifact(layer: Layer, target: str = "host", threads: int = 1) -> Artifact:
    """The layer as a library."""
    device = targets.get(target)
    raw = lower_layer(layer, device, threads)
    build = LoweredBuilder("model", device, threads)
    given = [build.input(*array.shape) for array in inputs(layer)]
    constants = [build.constant(array) for array in stages(layer, device)[1][-2:]]
    scratch = tuple(size for size, _ in raw.workspaces)
    (output,) = build.call(
        "model_k0", [*given, *constants], layer.shape, workspaces=scratch, inplace=raw.inplace
    )
    lowered = build.build(output)
    return build_library(lowered, plan_memory(lowered), compile_kernels([raw], device))


def error(layer: Layer, output: Array) -> float:
    """The largest difference to the reference, relative to the largest output."""
    wanted = reference(layer)
    assert output.shape == wanted.shape
    return float(np.abs(output - wanted).max() / (np.abs(wanted).max() or 1))


def relu(value: Any) -> Any:
    """max(value, 0)."""
    return tirx.max(value, tirx.const(0, "float32"))


def _stage(layer: Layer, element: Callable[..., Any], name: str) -> te.Tensor:
    return te.compute(layer.shape, element, name=name)
