"""Stores weights as integers; everything is still computed in floating point."""

from dataclasses import dataclass
from functools import partial
from math import prod
from typing import Literal

import torch
from torch import Tensor
from torch.fx import Node

from ..compiler.errors import CompileError
from ..compiler.ir.program import Program
from ..compiler.ir.rewrite import arguments_of, shape_of, weight_of
from ..compiler.pass_base import Pass
from .fuse_linear import FuseLinear
from .integer.products import LAYERS
from .integer.transposed import TRANSPOSED
from .quantizing.annotate import Annotation
from .quantizing.correct_bias import add_to_bias
from .quantizing.group_rounding import LEAST_GROUP, group_size, round_groups
from .quantizing.insert import nearest, round_weight, weight_scales
from .quantizing.layers import fits_rows, output_axis
from .quantizing.migrate import Balance, migrate, rounded_by_channel
from .quantizing.moments import Moments, observe_moments
from .quantizing.prepare import check_finite, prepare
from .quantizing.selection import named
from .quantizing.weights_only import round_groups_of, round_table

_EMBEDDING = torch.ops.aten.embedding.default
_AWQ_STRENGTHS = tuple(place / 10 for place in range(1, 11))
Method = Literal["auto", "nearest", "gptq", "awq"]


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
            yet rounded make up for what rounding others did, biases for the mean. "awq": each on
            its own, but channels with large inputs are larger while they are rounded, if what makes
            these inputs can make them smaller. "auto": gptq where there is calibration data.
        least_elements: Smaller weights stay as they are.
        equalize: Move the size of channels from weights into those of the layer before, where that
            loses less; as in `Quantize`, with calibration data. AWQ has its own way.
        keep: Modules (patterns of names) and operators that stay as they are.

    Needs: calibration data for gptq and awq, and to equalize.
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
        """Round weights; the number of operators that read rounded ones.

        Where there is none, that of the rewrites that made the program canonical.
        """
        self._check()
        prepared = prepare(program, FuseLinear())
        kept = named(program, "keep", self.keep)
        readers = [n for n in program.graph.nodes if self._is_reader(program, n) and n not in kept]
        layers = [node for node in readers if node.target is not _EMBEDDING]
        self._equalize(program, layers)
        groups = {node: group for node in layers if (group := self._group(node))}
        moments = self._moments(program, list(groups))
        for node in readers:
            if node.target is _EMBEDDING:
                round_table(program, node)
            else:
                self._round(program, node, groups.get(node, 0), moments.get(node))
        self.report.details["in groups"] = len(groups)
        self.report.details["by channel"] = len(readers) - len(groups)
        return len(readers) or prepared

    def _round(self, program: Program, layer: Node, group: int, moments: Moments | None) -> None:
        weight = program.weight(arguments_of(layer)["weight"]).detach()
        if group:
            scatter = None if moments is None else moments.scatter
            rounded = round_groups(weight.flatten(1), self.bits, group, scatter)
            round_groups_of(program, layer, rounded, self.bits)
            if moments is not None:  # the scatter says nothing of the mean: the bias takes it
                error = weight.flatten(1) - rounded.reals()
                add_to_bias(program, layer, (error.double() @ moments.mean).float())
            return
        axis = output_axis(layer)
        scales = weight_scales(weight, 8, axis)
        round_weight(program, layer, nearest(weight, scales, 8, axis), scales, axis)

    def _check(self) -> None:
        if self.bits not in (4, 8):
            raise CompileError("bits must be 4 or 8", got=f"bits={self.bits}")
        if self.group < LEAST_GROUP or self.group % 2:
            raise CompileError("group must be even, and 8 or more", got=f"group={self.group}")

    def _is_reader(self, program: Program, node: Node) -> bool:
        if node.target not in {*LAYERS, *TRANSPOSED, _EMBEDDING}:
            return False
        weight = weight_of(program, arguments_of(node)["weight"])
        if weight is None:
            self.report.skip(node, "its weight is computed")
            return False
        if weight.dtype != torch.float32 or weight.numel() < self.least_elements:
            return False
        check_finite(node, weight)
        return True

    def _group(self, layer: Node) -> int:
        """How many neighbors share a step; 0 where that is a whole output channel."""
        if not fits_rows(layer):
            return 0
        features = prod(shape_of(arguments_of(layer)["weight"])[1:])
        group = group_size(features, self.group)
        if not group:
            self.report.skip(layer, f"no group up to {self.group} divides {features} inputs evenly")
        return group

    def _rounded(self, layer: Node, weight: Tensor) -> Tensor:
        """What the integers of a weight stand for that is rounded to the nearest."""
        group = group_size(weight[0].numel(), self.group) if fits_rows(layer) else 0
        if not group:
            return rounded_by_channel(layer, weight, bits=8)
        rounded = round_groups(weight.flatten(1), self.bits, group, None)
        return rounded.reals().reshape(weight.shape)

    def _equalize(self, program: Program, layers: list[Node]) -> None:
        calibration = self.context.calibration
        if self.method == "awq":
            calibration = self.context.needs_calibration("method=awq")
            rounded, strengths = self._rounded, _AWQ_STRENGTHS
            way = Balance(activation_bits=None, rounded=rounded, strengths=strengths, by_mean=True)
        else:
            way = Balance(activation_bits=None, rounded=partial(rounded_by_channel, bits=self.bits))
            if not self.equalize or calibration is None:
                return
        moved = migrate(program, Annotation([], layers), calibration, way, self._progress)
        self.report.details["equalized"] = moved

    def _moments(self, program: Program, layers: list[Node]) -> dict[Node, Moments]:
        """What each layer reads; nothing where nobody asks."""
        calibration = self.context.calibration
        if self.method == "gptq":
            calibration = self.context.needs_calibration("method=gptq")
        if self.method in ("nearest", "awq") or calibration is None:
            return {}
        return observe_moments(program, layers, calibration, self._progress)

    def _progress(self, done: float) -> None:
        self.context.progress(f"{self.name}: second moments", done)
