"""Layers that read the units of a group and are linear in them: what least squares can refit."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.fx import Node
from torch.nn import functional

from ...compiler.coupling import Group, Member
from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of, shape_of
from .units import Ints

_ATEN = torch.ops.aten
_CONVOLUTIONS = (_ATEN.conv1d.default, _ATEN.conv2d.default)
_PRODUCTS = (_ATEN.matmul.default, _ATEN.mm.default)


@dataclass(frozen=True, eq=False)
class Reader:
    """A linear layer or an ungrouped convolution: result = features @ matrix + bias, row by row.

    A feature is an input of a linear layer, or an input channel at one place of a window.
    """

    call: Node
    source: Node  # what it reads
    weight: Node
    bias: Node | None

    def features(self, value: Tensor) -> Tensor:
        """The operand's value as [rows, features]."""
        if self.call.target not in _CONVOLUTIONS:
            return value.reshape(-1, value.shape[-1])
        options = self._window_options()
        kernel = shape_of(self.weight)[2:]
        if len(kernel) == 1:
            value, kernel = value.unsqueeze(2), (1, *kernel)
        columns = functional.unfold(value, kernel, **options)
        return columns.transpose(1, 2).reshape(-1, columns.shape[1])

    def rows(self, value: Tensor) -> Tensor:
        """The result's value as [rows, outputs]."""
        if self.call.target not in _CONVOLUTIONS:
            return value.reshape(-1, value.shape[-1])
        return value.flatten(2).transpose(1, 2).reshape(-1, value.shape[1])

    @property
    def channel_dim(self) -> int:
        """The dimension of its operand and of its result that counts channels."""
        return 1 if self.call.target in _CONVOLUTIONS else -1

    @property
    def feature_count(self) -> int:
        """Number of features."""
        shape = shape_of(self.weight)
        return shape[0] if self._is_transposed() else int(np.prod(shape[1:]))

    def matrix(self, program: Program) -> Tensor:
        """The weight as [features, outputs], float64."""
        weight = program.weight(self.weight).detach().double()
        return weight if self._is_transposed() else weight.flatten(1).T

    def offset(self, program: Program) -> Tensor | None:
        """The bias [outputs], float64."""
        return None if self.bias is None else program.weight(self.bias).detach().double()

    def store(self, program: Program, matrix: Tensor, offset: Tensor | None) -> None:
        """Give the layer another matrix [features, outputs] and bias."""
        shape = shape_of(self.weight)
        weight = matrix if self._is_transposed() else matrix.T.reshape(shape)
        replace_values(program, self.weight, weight)
        if self.bias is not None and offset is not None:
            replace_values(program, self.bias, offset)

    def units(self, member: Member) -> Ints:
        """The unit of each feature, -1 for none."""
        window = int(np.prod(shape_of(self.weight)[2:]))  # 1 for a matrix
        return np.repeat(member.units, window)

    @property
    def has_offset(self) -> bool:
        """Whether it adds something that can be fitted."""
        return self.bias is not None

    @property
    def start(self) -> Node:
        """The first node that reads its weights."""
        return self.call

    def values(self, program: Program) -> dict[Node, Tensor]:
        """The weights that `store` changes."""
        nodes = (self.weight,) if self.bias is None else (self.weight, self.bias)
        return {node: program.weight(node) for node in nodes}

    def _is_transposed(self) -> bool:
        return self.call.target in _PRODUCTS

    def _window_rank(self) -> int:
        return len(shape_of(self.weight)) - 2

    def _window_options(self) -> dict[str, tuple[int, ...]]:
        arguments = arguments_of(self.call)
        options = {name: tuple(arguments[name]) for name in ("stride", "padding", "dilation")}
        if self._window_rank() == 1:
            neutral = {"stride": 1, "padding": 0, "dilation": 1}
            options = {name: (neutral[name], *value) for name, value in options.items()}
        return options


def reader_of(call: Node) -> Reader | None:
    """The layer at `call`, None if it is no linear layer and no ungrouped convolution of weights.

    Weights that something else reads too, such as tied ones, cannot be fitted to one reader; an
    image without a batch has no samples to join.
    """
    if call.target in _PRODUCTS:
        source, weight = call.args[:2]
        bias: object = None
    elif call.target is _ATEN.linear.default or call.target in _CONVOLUTIONS:
        arguments = arguments_of(call)
        source, weight, bias = (arguments[name] for name in ("input", "weight", "bias"))
        if call.target in _CONVOLUTIONS and arguments["groups"] != 1:
            return None
    else:
        return None
    if not isinstance(source, Node) or not isinstance(weight, Node) or source.op == "get_attr":
        return None
    if (
        not is_own(weight, call)
        or len(shape_of(weight)) < 2
        or not _has_samples(call, source, weight)
    ):
        return None
    if call.target in _PRODUCTS and len(shape_of(weight)) != 2:
        return None
    if bias is not None and (not isinstance(bias, Node) or not is_own(bias, call)):
        return None
    return Reader(call, source, weight, bias if isinstance(bias, Node) else None)


def readers_of(group: Group) -> list[tuple[Member, Reader]]:
    """The members of a group that read its units, in layers that can be refitted."""
    found = []
    for member in group.members:
        reader = reader_of(member.call) if member.role == "in" else None
        if reader is not None and reader.weight.target == member.weight:
            found.append((member, reader))
    return found


def ordered(readers: Iterable[Reader]) -> list[Reader]:
    """Each reader once, in the order of the graph."""
    by_call = {reader.call: reader for reader in readers}
    if not by_call:
        return []
    graph = next(iter(by_call)).graph
    return [by_call[node] for node in graph.nodes if node in by_call]


def replace_values(program: Program, node: Node, values: Tensor) -> None:
    """Give a weight new values; a parameter stays one."""
    old = program.weight(node)
    new = values.to(old.dtype).contiguous()
    if isinstance(old, torch.nn.Parameter):
        new = torch.nn.Parameter(new, requires_grad=old.requires_grad)
    program.replace_weight(node, new)


def _has_samples(call: Node, source: Node, weight: Node) -> bool:
    """Whether dimension 0 of the operand counts samples, or positions, and not channels."""
    rank = len(shape_of(source))
    if call.target in _CONVOLUTIONS:
        return rank == len(shape_of(weight))
    return rank > 1


def is_own(weight: Node, call: Node) -> bool:
    """Whether `weight` is one that `call` alone reads."""
    if weight.op != "get_attr":
        return False
    same = call.graph.find_nodes(op="get_attr", target=weight.target)
    return {user for node in same for user in node.users} == {call}
