"""Stores weights as integers; everything is still computed in floating point."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor
from torch.fx import Node

from ..compiler.batches import Batches
from ..compiler.errors import CompileError
from ..compiler.ir.program import Program, origin_of
from ..compiler.ir.rewrite import arguments_of, shape_of, weight_of
from ..compiler.pass_base import Pass
from .canonicalize import Canonicalize
from .fold_batch_norm import FoldBatchNorm
from .fold_constants import FoldConstants
from .fuse_linear import FuseLinear
from .integer.products import LAYERS
from .quantizing.annotate import Annotation
from .quantizing.group_rounding import round_groups
from .quantizing.insert import nearest, round_weight, weight_scales
from .quantizing.layers import rows_read
from .quantizing.migrate import migrate
from .quantizing.observe import watch
from .quantizing.selection import named
from .quantizing.weights_only import round_table, store_groups
from .remove_no_ops import RemoveNoOps

_LINEAR = torch.ops.aten.linear.default
_EMBEDDING = torch.ops.aten.embedding.default
_BEFORE: tuple[Pass, ...] = (
    FoldConstants(),
    RemoveNoOps(),
    Canonicalize(),
    FoldBatchNorm(),
    FuseLinear(),
)
_LEAST_GROUP = 8  # fewer neighbors take more bits for steps than for themselves
Method = Literal["auto", "nearest", "gptq"]


@dataclass(frozen=True)
class QuantizeWeights(Pass):
    """Store the weights of layers and embeddings in 8 or 4 bits.

    Layers read them through a dequantize node, which the library runs before the layer; all values
    stay float32. Weights have a step for each `group` of what one output reads. Embeddings, grouped
    and depthwise convolutions have 8 bits, and a step for each row or output channel.

    Args:
        bits: 8 or 4.
        group: Most neighbors that share a step: as many as divide what an output reads, at least 8.
        method: Of rounding in groups. "nearest": each weight on its own. "gptq": those that are not
            yet rounded make up for what rounding others did. "auto": gptq where there is
            calibration data.
        least_elements: Smaller weights stay as they are.
        equalize: Move the size of channels from weights into those of the layer before, where that
            loses less; as in `Quantize`, with calibration data.
        keep: Modules (patterns of names) and operators that stay as they are.

    Needs: calibration data for gptq and to equalize.
    Keeps: all values within what the error of weights makes of them; see the report.
    Skips: weights that are computed; layers without such a group get a step for each output.
    """

    name = "quantize-weights"
    contract = "lossy"

    bits: int = 8
    group: int = 32
    method: Method = "auto"
    least_elements: int = 1024
    equalize: bool = True
    keep: tuple[str, ...] = ()

    def run(self, program: Program) -> int:
        """Round weights; the number of operators that read rounded ones."""
        self._check()
        for before in _BEFORE:
            before.run(program)
        program.drop_dead()
        kept = named(program, "keep", self.keep)
        readers = [n for n in program.graph.nodes if self._is_reader(program, n) and n not in kept]
        layers = [node for node in readers if node.target is not _EMBEDDING]
        self._equalize(program, layers)
        groups = {node: group for node in layers if (group := self._group(node))}
        moments = self._second_moments(program, list(groups))
        for node in readers:
            if node.target is _EMBEDDING:
                round_table(program, node)
                continue
            weight = program.weight(arguments_of(node)["weight"]).detach()
            if node in groups:
                matrix, known = weight.flatten(1), moments.get(node)
                rounded = round_groups(matrix, self.bits, groups[node], known)
                store_groups(program, node, rounded, self.bits)
            else:
                scales = weight_scales(weight, 8)
                round_weight(program, node, nearest(weight, scales, 8), scales)
        self.report.details["in groups"] = len(groups)
        self.report.details["by channel"] = len(readers) - len(groups)
        return len(readers)

    def _check(self) -> None:
        if self.bits not in (4, 8):
            raise CompileError("bits must be 4 or 8", got=f"bits={self.bits}")
        if self.group < _LEAST_GROUP or self.group % 2:
            raise CompileError("group must be even, and 8 or more", got=f"group={self.group}")

    def _is_reader(self, program: Program, node: Node) -> bool:
        if node.target not in LAYERS and node.target is not _EMBEDDING:
            return False
        weight = weight_of(program, arguments_of(node)["weight"])
        if weight is None:
            self.report.skip(node, "its weight is computed")
            return False
        if weight.dtype != torch.float32 or weight.numel() < self.least_elements:
            return False
        if not weight.isfinite().all():
            raise CompileError(
                "a weight is infinite or not a number",
                at=str(origin_of(node)),
                fix="check the model's weights",
            )
        return True

    def _group(self, layer: Node) -> int:
        """How many neighbors share a step; 0 where that is a whole output channel."""
        weight = shape_of(arguments_of(layer)["weight"])
        if len(weight) > 4 or arguments_of(layer).get("groups", 1) > 1:
            return 0
        if not isinstance(arguments_of(layer).get("padding", 0), int | list | tuple):
            return 0
        features = prod(weight[1:])
        fitting = (size for size in range(_LEAST_GROUP, self.group + 1, 2) if features % size == 0)
        group = max(fitting, default=0)
        if not group:
            self.report.skip(layer, f"no group up to {self.group} divides {features} inputs evenly")
        return group

    def _equalize(self, program: Program, layers: list[Node]) -> None:
        calibration = self.context.calibration
        if not self.equalize or calibration is None:
            return
        bits = (None, self.bits)
        strengths = migrate(program, Annotation([], layers), calibration, bits, self._progress)
        self.report.details["equalized"] = strengths

    def _second_moments(self, program: Program, layers: list[Node]) -> dict[Node, Tensor]:
        """For each layer, the sum of x x^T over all that it reads; nothing where nobody asks."""
        calibration = self.context.calibration
        if self.method == "gptq":
            calibration = self.context.needs_calibration("method=gptq")
        if self.method == "nearest" or calibration is None or not layers:
            return {}
        return _second_moments(program, layers, calibration, self._progress)

    def _progress(self, done: float) -> None:
        self.context.progress(f"{self.name}: second moments", done)


def _second_moments(
    program: Program,
    layers: Sequence[Node],
    calibration: Batches,
    progress: Callable[[float], None],
) -> dict[Node, Tensor]:
    """The sum of x x^T over all rows x that each layer multiplies its weight by, [I, I]."""
    readers: dict[Node, list[Node]] = {}
    for layer in layers:
        readers.setdefault(arguments_of(layer)["input"], []).append(layer)
    sums: dict[Node, Tensor] = {}

    def add(node: Node, value: Tensor) -> None:
        known: dict[Any, Tensor] = {}
        for layer in readers[node]:
            key = () if layer.target is _LINEAR else layer
            if key not in known:
                rows = rows_read(layer, value.detach()).double()
                known[key] = rows.t() @ rows
            sums[layer] = sums[layer] + known[key] if layer in sums else known[key]

    watch(program, calibration, list(readers), add, progress)
    return sums
