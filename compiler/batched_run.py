"""Runs a program on more samples at once than it was traced for, with gradients."""

import operator
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.fx import Node
from torch.fx.node import map_arg
from torch.nn import functional

from .batches import samples_of
from .ir.program import Program
from .ir.rewrite import arguments_of
from .joined_samples import acts_on_each_sample

_BATCH_NORM = torch.ops.aten.batch_norm.default
Edit = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class BatchedRun:
    """Outputs, and the values of the nodes to keep; samples are joined on dimension 0."""

    outputs: list[Tensor]
    kept: dict[Node, Tensor]


def run_batched(
    program: Program,
    inputs: Sequence[Tensor],
    *,
    keep: Collection[Node] = (),
    given: Mapping[Node, Tensor] | None = None,
    edit: Mapping[Node, Edit] | None = None,
    outputs: bool = True,
    normalize_by_batch: bool = False,
) -> BatchedRun:
    """Run `program` on inputs that hold k times the samples it was traced for.

    A value of shape [n, ...] comes out as [k * n, ...], which is what the model would give for such
    a batch wherever dimension 0 counts samples. Gradients flow into the program's weights unless
    the caller turned them off.

    Args:
        program: Any program; its shapes stay as traced.
        inputs: Flat; dimension 0 is k times the traced one. An input of exactly the traced shape
            beside larger ones is shared by all samples.
        keep: Nodes (of tensors) whose values are wanted.
        given: Values that are not computed, in the form of `kept`.
        edit: Functions that replace the value of a node, in the form of `kept`.
        outputs: Whether the program's outputs are wanted; without, only what `keep` needs runs.
        normalize_by_batch: Batch norms use the statistics of the batch and update the running ones.

    Raises:
        CompileError: The inputs do not fit.
    """
    runner = _Runner(program, samples_of(program, inputs), normalize_by_batch, dict(edit or {}))
    ends = [*keep, *(program.output_nodes if outputs else ())]
    with warnings.catch_warnings():  # operators without a batching rule run sample by sample
        warnings.filterwarnings("ignore", message=".*batching rule.*")
        runner.run(inputs, ends, given or {})
    joined = {node: runner.joined(node) for node in ends}
    return BatchedRun(
        [joined[node] for node in program.output_nodes] if outputs else [],
        {node: joined[node] for node in keep},
    )


@dataclass(frozen=True)
class _Value:
    """A node's result: one for all samples, or one for each with these on a new dimension 0."""

    data: Any
    is_batched: bool


class _Runner:
    """Computes node after node; what depends on no input is computed once for all samples."""

    def __init__(
        self, program: Program, times: int, normalize_by_batch: bool, edit: dict[Node, Edit]
    ) -> None:
        self.program, self.times, self.edit = program, times, edit
        self.normalize_by_batch = normalize_by_batch
        self.values: dict[Node, _Value] = {}

    def run(
        self, inputs: Sequence[Tensor], ends: Sequence[Node], given: Mapping[Node, Tensor]
    ) -> None:
        for node, tensor in given.items():
            self.values[node] = self._split(node, tensor)
        needed = _needed(ends, set(given))
        last_reader = {source: node for node in needed for source in node.all_input_nodes}
        stays = {*ends, *given}
        for node, tensor in zip(self.program.input_nodes, inputs, strict=True):
            self.values.setdefault(node, self._split(node, tensor))
        for node in needed:
            if node not in self.values:
                self.values[node] = self._compute(node)
            if node in self.edit:
                self.values[node] = self._split(node, self.edit[node](self.joined(node)))
            for source in node.all_input_nodes:
                if last_reader[source] is node and source not in stays:
                    self.values.pop(source, None)

    def joined(self, node: Node) -> Tensor:
        """A node's value with the samples joined on dimension 0."""
        value = self.values[node]
        data: Tensor = value.data
        if not value.is_batched:
            if self.times == 1:
                return data
            data = data.expand(self.times, *data.shape)
        return data.flatten(0, 1) if data.dim() > 1 else data

    def _split(self, node: Node, tensor: Tensor) -> _Value:
        shape = tuple(node.meta["val"].shape)
        if tuple(tensor.shape) == shape:
            return _Value(tensor, is_batched=False)
        return _Value(tensor.reshape(self.times, *shape), is_batched=True)

    def _compute(self, node: Node) -> _Value:
        if node.op == "get_attr":
            return _Value(self.program.weight(node), is_batched=False)
        if node.target is operator.getitem:
            source, index = node.args
            assert isinstance(source, Node), node.format_node()
            value = self.values[source]
            return _Value(value.data[index], value.is_batched)
        if node.target is _BATCH_NORM and self._is_normalized_here(node):
            return self._batch_norm(node)
        sources = [source for source in node.all_input_nodes if self.values[source].is_batched]
        if not sources:
            return _Value(self._call(node, {}), is_batched=False)
        if acts_on_each_sample(node, sources):
            joined = self._call(node, {source: self.joined(source) for source in sources})
            return _Value(_each_part(joined, self._by_sample), is_batched=True)
        return _Value(self._call_for_all(node, sources), is_batched=True)

    def _by_sample(self, joined: Tensor) -> Tensor:
        split: Tensor = joined.unflatten(0, (self.times, -1))
        return split

    def _call(self, node: Node, samples: Mapping[Node, Any]) -> Any:
        """The node's result where `samples` holds the values of what differs by sample."""

        def look(source: Node) -> Any:
            return samples[source] if source in samples else self.values[source].data

        assert callable(node.target), node.format_node()
        return node.target(*map_arg(node.args, look), **map_arg(node.kwargs, look))

    def _call_for_all(self, node: Node, sources: Sequence[Node]) -> Any:
        def one(*data: Any) -> Any:
            return self._call(node, dict(zip(sources, data, strict=True)))

        stacked = [self.values[source].data for source in sources]
        try:
            if _has_batching_rule(node):
                return torch.vmap(one, randomness="different")(*stacked)
        except RuntimeError:  # no batching rule and no fallback after all
            pass
        results = [one(*(_sample(data, index) for data in stacked)) for index in range(self.times)]
        if isinstance(results[0], Tensor):
            return torch.stack(results)
        return tuple(map(torch.stack, zip(*results, strict=True)))

    def _is_normalized_here(self, node: Node) -> bool:
        return self.normalize_by_batch or self.values[node.all_input_nodes[0]].is_batched

    def _batch_norm(self, node: Node) -> _Value:
        """All samples as one batch, which is much faster than one call for each."""
        arguments = {
            name: self.values[value].data if isinstance(value, Node) else value
            for name, value in arguments_of(node).items()
        }
        source = arguments_of(node)["input"]
        result = functional.batch_norm(
            self.joined(source),
            arguments["running_mean"],
            arguments["running_var"],
            arguments["weight"],
            arguments["bias"],
            arguments["training"] or self.normalize_by_batch,
            arguments["momentum"],
            arguments["eps"],
        )
        if not self.values[source].is_batched and self.times > 1:
            return _Value(result[: node.meta["val"].shape[0]], is_batched=False)
        return self._split(node, result)


def _has_batching_rule(node: Node) -> bool:
    """Whether vmap can be tried; it warns of every call of `quantized_decomposed`."""
    return getattr(node.target, "namespace", "") != "quantized_decomposed"


def _sample(data: Any, index: int) -> Any:
    return _each_part(data, lambda part: part[index])


def _each_part(data: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """A function of a result, or of each of several."""
    return function(data) if isinstance(data, Tensor) else tuple(map(function, data))


def _needed(ends: Sequence[Node], given: set[Node]) -> list[Node]:
    """The nodes that `ends` depend on, `given` ones without what lies before them, in order."""
    found: set[Node] = set()
    stack = list(ends)
    while stack:
        node = stack.pop()
        if node in found:
            continue
        found.add(node)
        if node not in given:
            stack += node.all_input_nodes
    if not ends:
        return []
    return [node for node in ends[0].graph.nodes if node in found]
