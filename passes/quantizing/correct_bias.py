"""Takes the mean of what rounding adds to a layer's results out of its bias.

Nagel et al. 2019, "Data-Free Quantization Through Weight Equalization and Bias Correction", here
with the mean input of the calibration data, borders included: the mean of a linear function is its
value at the mean.
"""

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.fx import Node

from ...compiler.batches import Batches
from ...compiler.ir.program import Program, origin_of
from ...compiler.ir.rewrite import arguments_of, change_weight
from ..integer.values import DEQUANTIZE
from .layers import channel_axis, compute, weight_now
from .observe import watch


def correct_bias(
    program: Program,
    originals: dict[Node, Tensor],
    batches: Batches,
    progress: Callable[[float], None],
) -> float:
    """Change the biases of layers so that their mean results are those of real operands.

    Args:
        program: With quantize and dequantize nodes.
        originals: The weight of each layer before it was rounded.
        batches: Calibration data.
        progress: Called with the fraction that is done.

    Returns:
        The largest change, relative to the largest bias of its layer, or to 1 if that is less.
    """
    pairs = {layer: operands(layer) for layer in originals}
    watched = list(dict.fromkeys(node for pair in pairs.values() for node in pair))
    means = _means(program, batches, watched, progress)
    most = 0.0
    for layer, weight in originals.items():
        real, rounded = (means[node] for node in pairs[layer])
        wanted = compute(layer, real, weight)
        got = compute(layer, rounded, weight_now(program, layer))
        axis = channel_axis(layer) % wanted.dim()
        missing = (wanted - got).transpose(0, axis).flatten(1).mean(1)
        most = max(most, add_to_bias(program, layer, missing))
    return most


def operands(layer: Node) -> tuple[Node, Node]:
    """What a layer reads before and after it is rounded."""
    rounded = arguments_of(layer)["input"]
    assert isinstance(rounded, Node)
    if rounded.target is not DEQUANTIZE:
        return rounded, rounded
    quantize = rounded.args[0]
    assert isinstance(quantize, Node)
    real = quantize.args[0]
    assert isinstance(real, Node)
    return real, rounded


def _means(
    program: Program,
    batches: Batches,
    nodes: Sequence[Node],
    progress: Callable[[float], None],
) -> dict[Node, Tensor]:
    """The mean over samples of each node, [1, ...]."""
    sums: dict[Node, Tensor] = {}
    counts = dict.fromkeys(nodes, 0)

    def add(node: Node, value: Tensor) -> None:
        total = value.detach().sum(0, keepdim=True)
        sums[node] = sums[node] + total if node in sums else total
        counts[node] += len(value)

    watch(program, batches, nodes, add, progress)
    return {node: total / counts[node] for node, total in sums.items()}


def add_to_bias(program: Program, layer: Node, missing: Tensor) -> float:
    """Add to a layer's bias [O], which it gets if it has none; how much `correct_bias` counts."""
    bias = arguments_of(layer)["bias"]
    if bias is None:
        stem = origin_of(layer).module_path or layer.name
        new = program.add_weight(nn.Parameter(missing), f"{stem}.bias", like=layer)
        layer.args = (*layer.args[:2], new, *layer.args[3:])
        return float(missing.abs().max())
    old = program.weight(bias).detach()
    changed = change_weight(program, [layer], bias, old + missing)
    if changed is not bias:
        layer.replace_input_with(bias, changed)
    return float(missing.abs().max() / old.abs().max().clamp(min=1.0))
