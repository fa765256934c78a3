"""Stores weights as integers; everything is still computed in floating point."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

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
from .quantizing.group_rounding import round_groups
from .quantizing.insert import nearest, round_weight, weight_scales
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
Method = Literal["auto", "nearest", "gptq"]


@dataclass(frozen=True)
class QuantizeWeights(Pass):
    """Store the weights of layers and embeddings in 8 or 4 bits.

    Layers read them through a dequantize node, which the library runs before the layer; all values
    stay float32. Linear layers have a step for each `group` of inputs of each output; convolutions
    and embeddings always get 8 bits, and a step for each output channel or row.

    Args:
        bits: 8 or 4.
        group: Neighboring inputs of a linear layer that share a step.
        method: Of linear layers. "nearest": each weight is rounded on its own. "gptq": those that
            are not yet rounded make up for what rounding others did. "auto": gptq where there is
            calibration data.
        least_elements: Smaller weights stay as they are.
        keep: Modules (patterns of names) and operators that stay as they are.

    Needs: calibration data for gptq.
    Keeps: all values within what the error of weights makes of them; see the report.
    Skips: weights that are computed; linear layers whose inputs are no multiple of `group` are
        treated as convolutions are.
    """

    name = "quantize-weights"
    contract = "lossy"

    bits: int = 8
    group: int = 32
    method: Method = "auto"
    least_elements: int = 1024
    keep: tuple[str, ...] = ()

    def run(self, program: Program) -> int:
        """Round weights; the number of operators that read rounded ones."""
        self._check()
        for before in _BEFORE:
            before.run(program)
        program.drop_dead()
        kept = named(program, "keep", self.keep)
        readers = [n for n in program.graph.nodes if self._is_reader(program, n) and n not in kept]
        grouped = [node for node in readers if self._has_groups(node)]
        moments = self._second_moments(program, grouped)
        for node in readers:
            if node.target is _EMBEDDING:
                round_table(program, node)
                continue
            weight = program.weight(arguments_of(node)["weight"]).detach()
            if node in grouped:
                known = moments.get(arguments_of(node)["input"])
                rounded = round_groups(weight, self.bits, self.group, known)
                store_groups(program, node, rounded, self.bits)
            else:
                scales = weight_scales(weight, 8)
                round_weight(program, node, nearest(weight, scales, 8), scales)
        self.report.details["in groups"] = len(grouped)
        self.report.details["by channel"] = len(readers) - len(grouped)
        return len(readers)

    def _check(self) -> None:
        if self.bits not in (4, 8):
            raise CompileError("bits must be 4 or 8", got=f"bits={self.bits}")
        if self.group < 2 or self.group % 2:
            raise CompileError("group must be even, and 2 or more", got=f"group={self.group}")

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

    def _has_groups(self, node: Node) -> bool:
        if node.target is not _LINEAR:
            return False
        features = shape_of(node.args[0])[-1]  # type: ignore[arg-type]
        if features % self.group:
            self.report.skip(node, f"{features} inputs are no multiple of {self.group}")
            return False
        return True

    def _second_moments(self, program: Program, layers: list[Node]) -> dict[Node, Tensor]:
        """For each value that a layer reads, the sum of x x^T; nothing where nobody asks."""
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
    """The sum of x x^T over all rows of each value that one of the layers reads, [I, I]."""
    sums: dict[Node, Tensor] = {}

    def add(node: Node, value: Tensor) -> None:
        rows = value.detach().flatten(0, -2).double() if value.dim() > 1 else value[None].double()
        total = rows.t() @ rows
        sums[node] = sums[node] + total if node in sums else total

    values = dict.fromkeys(arguments_of(layer)["input"] for layer in layers)
    watch(program, calibration, list(values), add, progress)
    return sums
