"""Sets single weights to zero."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.fx import Node

from ..compiler.errors import CompileError
from ..compiler.ir.program import Program
from ..compiler.ir.rewrite import arguments_of
from ..compiler.pass_base import Pass
from ..compiler.training.parameters import PRODUCTS, keep_zeros, names_weight
from .quantizing.real_weights import on_real_weights

_ATEN = torch.ops.aten
_TRANSPOSED = {
    _ATEN.conv_transpose1d.default,
    _ATEN.conv_transpose2d.input,
    _ATEN.conv_transpose3d.input,
}
_NOTE = (
    "kernels are dense: they store zeros and multiply by them, so nothing gets faster or smaller"
)


@dataclass(frozen=True, kw_only=True)
class PruneWeights(Pass):
    """Set the weights of smallest magnitude to zero (Han et al. 2015), where training keeps them.

    What this gives is zeros: `report.details` has their number in each layer and the bytes that a
    format with a bitmap would need. The kernels that penjing makes are dense, so a library with
    pruned weights is as large and as slow as one without; use PruneChannels to make it smaller.

    Args:
        ratio: Part of the elements that are zero afterwards.
        threshold: Zero all elements of smaller magnitude, instead of a part of them.
        pattern: "n:m" keeps the n largest of every m successive inputs, instead of a part of all
            elements; the rest of a row that is no multiple of m stays.
        scope: Whether `ratio` holds for all layers together or for each.
        least_kept: Part of each layer that stays where `scope` is global: none is emptied.
        only: Names of weights or modules to prune; none are all linear layers and convolutions.
        protect: Names of weights or modules that stay.

    Needs: weights of linear layers and convolutions that are constants.
    Keeps: the graph and all shapes; zeros that are there already.
    Skips: weights without m inputs, for "n:m".
    """

    name = "prune-weights"
    contract = "lossy"

    ratio: float = 0.5
    threshold: float | None = None
    pattern: str = ""
    scope: Literal["global", "layer"] = "global"
    least_kept: float = 0.02
    only: tuple[str, ...] = ()
    protect: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("ratio", "least_kept"):
            if not 0 <= getattr(self, name) <= 1:
                raise _refused(f"{name} must be between 0 and 1", self, name)
        if self.threshold is not None and not self.threshold >= 0:
            raise _refused("threshold must be 0 or more", self, "threshold")
        if self.scope not in ("global", "layer"):
            raise _refused("scope must be global or layer", self, "scope")
        if self.pattern:
            _kept_of(self.pattern)

    @on_real_weights
    def run(self, program: Program) -> int:
        layers = self._layers(program)
        weights = {str(node.target): program.weight(node).detach() for node, _ in layers}
        if self.pattern:
            masks = self._by_pattern(program, layers)
        elif self.threshold is not None:
            masks = {name: weight.abs() >= self.threshold for name, weight in weights.items()}
        elif self.scope == "layer":
            masks = {
                name: _largest({name: weight}, self.ratio, 0)[name]
                for name, weight in weights.items()
            }
        else:
            masks = _largest(weights, self.ratio, self.least_kept)
        changed = 0
        for node, _ in layers:
            changed += _apply(program, node, masks[str(node.target)])
        self.report.details.update(_details(program, masks), note=_NOTE)
        return changed

    def _layers(self, program: Program) -> list[tuple[Node, int]]:
        """The weights to prune, each once, with the dimension of their inputs."""
        found: dict[str, tuple[Node, int]] = {}
        for node in program.graph.nodes:
            if node.op == "call_function" and node.target in PRODUCTS:
                weight = arguments_of(node)["weight"]
                if isinstance(weight, Node) and weight.op == "get_attr":
                    found.setdefault(
                        str(weight.target), (weight, int(node.target not in _TRANSPOSED))
                    )
        for pattern in (*self.only, *self.protect):
            if not any(names_weight([pattern], name) for name in program.weights):
                raise CompileError(
                    f"no weight or module is named {pattern!r}",
                    fix=f"names are like {next(iter(found), '(no weights)')}",
                )
        return [
            layer
            for name, layer in found.items()
            if (not self.only or names_weight(self.only, name))
            and not names_weight(self.protect, name)
        ]

    def _by_pattern(self, program: Program, layers: list[tuple[Node, int]]) -> dict[str, Tensor]:
        kept, size = _kept_of(self.pattern)
        masks = {}
        for node, axis in layers:
            weight = program.weight(node).detach()
            if weight.shape[axis] < size:
                self.report.skip(node, f"{weight.shape[axis]} inputs are fewer than {size}")
            masks[str(node.target)] = _pattern(weight, axis, kept, size)
        return masks


def _largest(weights: Mapping[str, Tensor], ratio: float, least_kept: float) -> dict[str, Tensor]:
    """Which elements stay when the smallest of all become zero; some of each tensor stay anyway."""
    sizes = [weight.abs().flatten().float() for weight in weights.values()]
    for index, size in enumerate(sizes):
        safe = size.topk(math.ceil(least_kept * len(size))).indices
        sizes[index] = size.index_fill(0, safe, math.inf)
    joined = torch.cat(sizes) if sizes else torch.zeros(0)
    order = joined.argsort(stable=True)[: round(ratio * len(joined))]
    mask = torch.ones(len(joined), dtype=torch.bool)
    mask[order[joined[order] < math.inf]] = False
    parts = mask.split([weight.numel() for weight in weights.values()])
    return {
        name: part.view(weight.shape)
        for (name, weight), part in zip(weights.items(), parts, strict=True)
    }


def _pattern(weight: Tensor, axis: int, kept: int, size: int) -> Tensor:
    """Which elements are among the `kept` largest of their `size` neighbors along `axis`."""
    rows = weight.abs().movedim(axis, -1)
    whole = rows.shape[-1] // size * size
    groups = rows[..., :whole].unflatten(-1, (-1, size)) if whole else rows[..., None, :0]
    mask = torch.ones_like(rows, dtype=torch.bool)
    if whole:
        largest = groups.topk(kept, dim=-1).indices
        chosen = torch.zeros_like(groups, dtype=torch.bool).scatter(-1, largest, True)
        mask[..., :whole] = chosen.flatten(-2)
    return mask.movedim(-1, axis)


def _kept_of(pattern: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+):(\d+)", pattern)
    if match is None or not 0 < int(match[1]) < int(match[2]):
        raise CompileError(
            "the pattern must be n:m with 0 < n < m", got=f"pattern={pattern!r}", fix='like "2:4"'
        )
    return int(match[1]), int(match[2])


def _apply(program: Program, node: Node, mask: Tensor) -> bool:
    """Zero the weight where `mask` is false and mark it; False if nothing but zeros was there."""
    weight = program.weight(node)
    keep_zeros(program, node)
    if not weight.detach()[~mask].any():
        return False
    new = weight.detach() * mask
    trained = isinstance(weight, nn.Parameter)
    program.replace_weight(node, nn.Parameter(new, weight.requires_grad) if trained else new)
    return True


def _details(program: Program, masks: Mapping[str, Tensor]) -> dict[str, Any]:
    layers, dense, compressed = {}, 0, 0
    for name, weight in program.weights.items():
        zeros = int((weight == 0).sum()) if name in masks else 0
        dense += weight.nbytes
        if name in masks:
            layers[name] = {"elements": weight.numel(), "zeros": zeros}
            compressed += math.ceil(weight.numel() / 8)
        compressed += (weight.numel() - zeros) * weight.element_size()
    total = sum(layer["elements"] for layer in layers.values())
    zeros = sum(layer["zeros"] for layer in layers.values())
    return {
        "zeros": zeros / total if total else 0.0,
        "layers": layers,
        "weight_bytes": dense,
        "bitmap_bytes": compressed,
    }


def _refused(what: str, prune: PruneWeights, name: str) -> CompileError:
    return CompileError(what, got=f"{name}={getattr(prune, name)!r}")
