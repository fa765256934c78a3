"""Stores weights, and what layers hand to each other, in 16 bits."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch._ops import OpOverload
from torch.fx import Node
from torch.fx.node import map_arg

from ..compiler.errors import CompileError
from ..compiler.ir.program import Program, node_spec, origin_of
from ..compiler.ir.rewrite import (
    arguments_of,
    change_weight,
    insert_call,
    replace_by,
    weight_of,
)
from ..compiler.pass_base import Pass
from .narrow_ops import WEIGHTED, is_layer, may_follow, numbers_of

_ATEN = torch.ops.aten
_CAST = _ATEN._to_copy.default
_ATTENTION = _ATEN.scaled_dot_product_attention.default
_DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class ReducePrecision(Pass):
    """Store weights and activations as float16 or bfloat16; inputs and outputs stay float32.

    1. Products, convolutions, attention and embeddings work on `dtype`, and so does what follows
       them: elementwise operations, normalizations, softmax, pools and moves. Kernels still
       compute in float32: statistics, sums, everything between a load and a store.
    2. `weights_only`: the weights of these layers alone, widened where they are loaded.

    Casts stand between these values and others. `keep` names modules that stay float32.

    Needs: canonical operators, batch norms folded; `compile` runs it after the other rewrites.
    Keeps: each stored value within 2^-11 (float16) or 2^-9 (bfloat16) of itself; float16 ends at
        65504 and has fewer places below 6e-5. The report has the largest error of a weight,
        relative to the largest element of its tensor.
    Skips: weights and numbers too large for float16; squares, powers, exponentials and sums, whose
        results may be; LSTM and GRU.
    """

    name = "reduce-precision"
    contract = "lossy"
    comes_last = True

    dtype: Literal["float16", "bfloat16"] = "float16"
    keep: tuple[str, ...] = ()
    weights_only: bool = False

    def run(self, program: Program) -> int:
        if self.dtype not in _DTYPES:
            raise CompileError("dtype must be float16 or bfloat16", got=f"dtype={self.dtype!r}")
        paths = {origin_of(node).module_path for node in program.graph.nodes}
        for module in self.keep:
            if not any(_is_inside(path, module) for path in paths):
                raise CompileError(
                    "keep names no module of the program",
                    got=f"keep={module!r}",
                    fix="use names of model.named_modules(), such as 'encoder.layer.0'",
                )
        narrowing = _Narrowing(program, self)
        count = narrowing.narrow_weights() if self.weights_only else narrowing.narrow_values()
        self.report.details.update(
            weights=narrowing.weights, largest_weight_error=narrowing.largest_error
        )
        return count


@dataclass
class _Narrowing:
    """The rewriting of one program."""

    program: Program
    options: ReducePrecision
    weights: int = 0
    largest_error: float = 0.0
    _narrow: dict[Node, Node] = field(default_factory=dict)  # float32 value -> in 16 bits

    @property
    def dtype(self) -> torch.dtype:
        """The one to store in."""
        return _DTYPES[self.options.dtype]

    def narrow_values(self) -> int:
        """Let layers and what follows them work on 16 bits; the number of nodes."""
        chosen: dict[Node, None] = {}
        for node in self.program.graph.nodes:
            follows = any(source in chosen for source in node.all_input_nodes)
            if self._may_change(node) and (is_layer(node) or (follows and may_follow(node))):
                chosen[node] = None
        for node in chosen:
            args, kwargs = self._narrowed((node.args, node.kwargs), node, chosen)
            self._narrow[node] = insert_call(node, node.target, *args, **kwargs)
        for node in reversed(chosen):  # what read one of them and was chosen too is gone
            if node.users:
                wide = insert_call(node, _CAST, self._narrow[node], dtype=torch.float32)
                node.replace_all_uses_with(wide)
            self.program.graph.erase_node(node)
        return len(chosen)

    def narrow_weights(self) -> int:
        """Let layers widen weights of 16 bits; the number of layers."""
        layers = [n for n in self.program.graph.nodes if _has_weight(n) and self._may_change(n)]
        layers = [n for n in layers if weight_of(self.program, _weight(n)) is not None]
        for node in layers:
            weight = _weight(node)
            narrow = self._narrowed(weight, node, layers)
            if node.target is _ATEN.embedding.default:
                rows = insert_call(node, node.target, narrow, *node.args[1:], **node.kwargs)
                replace_by(node, insert_call(node, _CAST, rows, dtype=torch.float32))
            else:
                wide = insert_call(node, _CAST, narrow, dtype=torch.float32)
                node.replace_input_with(weight, wide)
        return len(layers)

    def _may_change(self, node: Node) -> bool:
        """Whether a call gives one float32 tensor from such, and 16 bits can hold its numbers."""
        if not isinstance(node.target, OpOverload) or not _is_float32(node):
            return False
        path = origin_of(node).module_path
        if any(_is_inside(path, module) for module in self.options.keep):
            return False
        specs = [o.meta["val"] for o in node.all_input_nodes]
        if any(not isinstance(s, torch.Tensor) or s.dtype is torch.float64 for s in specs):
            return False
        if self.dtype is torch.float16 and not self._fits(node):
            if is_layer(node) or may_follow(node):
                self.options.report.skip(node, "a weight or number is too large for float16")
            return False
        return True

    def _fits(self, node: Node) -> bool:
        """Whether the numbers and weights of a call are no larger than float16 can be."""
        most = torch.finfo(torch.float16).max
        if any(abs(n) > most for n in numbers_of((node.args, tuple(node.kwargs.values())))):
            return False
        weights = [weight_of(self.program, o) for o in node.all_input_nodes if o is not _mask(node)]
        floats = [w for w in weights if w is not None and w.dtype is torch.float32 and w.numel()]
        return all(bool((w.abs() <= most).all()) for w in floats)

    def _narrowed(self, value: Any, reader: Node, readers: Collection[Node]) -> Any:
        """Arguments with every float32 value in 16 bits; `readers` are all that will read them."""

        def one(node: Node) -> Node:
            if not isinstance(node.meta["val"], torch.Tensor) or not _is_float32(node):
                return node
            if node not in self._narrow:
                self._narrow[node] = self._stored(node, reader, readers)
            return self._narrow[node]

        return map_arg(value, one)

    def _stored(self, node: Node, reader: Node, readers: Collection[Node]) -> Node:
        """A weight in 16 bits, or a cast; masks saturate, since a row of -inf would become NaN."""
        limits = torch.finfo(self.dtype)
        weight = weight_of(self.program, node)
        if weight is not None:
            rounded = weight.clamp(limits.min, limits.max).to(self.dtype)
            self._count(weight, rounded)
            return change_weight(self.program, list(readers), node, rounded)
        if node is _mask(reader):
            node = insert_call(reader, _ATEN.clamp.default, node, limits.min, limits.max)
        return insert_call(reader, _CAST, node, dtype=self.dtype)

    def _count(self, weight: torch.Tensor, rounded: torch.Tensor) -> None:
        self.weights += 1
        largest = float(weight.abs().max()) if weight.numel() else 0.0
        if 0 < largest <= torch.finfo(self.dtype).max:
            error = float((weight - rounded.float()).abs().max()) / largest
            self.largest_error = max(self.largest_error, error)


def _is_inside(path: str, module: str) -> bool:
    return path == module or path.startswith(f"{module}.")


def _is_float32(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and node_spec(node).dtype == "float32"


def _has_weight(node: Node) -> bool:
    return isinstance(node.target, OpOverload) and node.target.overloadpacket in WEIGHTED


def _weight(node: Node) -> Node:
    weight = arguments_of(node)["weight"]
    assert isinstance(weight, Node)
    return weight


def _mask(node: Node) -> Any:
    """The mask of an attention, whose -inf and lowest numbers may saturate."""
    return arguments_of(node)["attn_mask"] if node.target is _ATTENTION else None
