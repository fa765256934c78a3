"""How much the outputs of a program depend on the rounding of each of its layers."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.fx import Node

from ...compiler.batched_run import run_batched
from ...compiler.batches import Batches
from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of, weight_of
from ...compiler.quantization.scales import QuantizedRange
from .annotate import Annotation
from .insert import nearest, weight_scales
from .layers import along, compute, output_axis

_MOST_BATCHES = 4


def sensitivities(
    program: Program,
    annotation: Annotation,
    ranges: Mapping[Node, QuantizedRange],
    weight_bits: int,
    batches: Batches,
    progress: Callable[[float], None],
) -> dict[Node, float]:
    """For each layer, the relative squared error of the outputs if it alone is rounded.

    Args:
        program: As it is before it is rounded.
        annotation: What will be.
        ranges: The steps of values.
        weight_bits: Of weights.
        batches: Calibration data; the first few are enough.
        progress: Called with the fraction that is done.
    """
    layers = annotation.layers
    errors = dict.fromkeys(layers, 0.0)
    sources = {layer: arguments_of(layer)["input"] for layer in layers}
    chosen = [batch for batch, _ in zip(batches, range(_MOST_BATCHES), strict=False)]
    for number, batch in enumerate(chosen, 1):
        with torch.no_grad():
            known = run_batched(program, batch.inputs, keep={*layers, *sources.values()})
            for layer in layers:
                x = known.kept[sources[layer]]
                added = _error(program, layer, x, ranges.get(sources[layer]), weight_bits)
                given = {layer: known.kept[layer] + added}
                changed = run_batched(program, batch.inputs, given=given)
                errors[layer] += _relative(changed.outputs, known.outputs) / len(chosen)
        progress(number / len(chosen))
    return errors


def _error(
    program: Program, layer: Node, x: Tensor, steps: QuantizedRange | None, bits: int
) -> Tensor:
    """What rounding adds to the result of a layer."""
    weight = weight_of(program, arguments_of(layer)["weight"])
    assert weight is not None, layer
    axis = output_axis(layer)
    scales = weight_scales(weight, bits, axis)
    rounded = nearest(weight, scales, bits, axis) * along(axis, scales, weight.dim())
    return compute(layer, _rounded(x, steps), rounded) - compute(layer, x, weight)


def _rounded(x: Tensor, steps: QuantizedRange | None) -> Tensor:
    if steps is None:  # an integer operator rounds where it is made
        return x
    return torch.fake_quantize_per_tensor_affine(
        x, steps.scale, steps.zero_point, steps.low, steps.high
    )


def _relative(outputs: list[Tensor], wanted: list[Tensor]) -> float:
    """The squared error by the squared values, both summed over all outputs."""
    pairs = [
        (got, want)
        for got, want in zip(outputs, wanted, strict=True)
        if want.dtype.is_floating_point
    ]
    error = sum(float((got - want).square().sum()) for got, want in pairs)
    return error / max(sum(float(want.square().sum()) for _, want in pairs), 1e-30)
