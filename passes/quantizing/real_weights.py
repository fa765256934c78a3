"""Lets passes that change weights do so in programs whose weights are rounded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.fx import Node

from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of, shape_of, weight_of
from ..integer.values import DEQUANTIZE_CHANNELS, constant
from .group_rounding import group_size
from .insert import nearest, rounded, weight_scales
from .same_steps import same_groups, same_steps
from .weights_only import store_groups

_GROUPS = torch.ops.penjing.dequantize_groups.default
_RESHAPE = torch.ops.aten.reshape.default
_Run = TypeVar("_Run", bound=Callable[..., Any])


@dataclass(frozen=True)
class _Rounded:
    """How a weight was rounded: in groups, or with steps along an axis, [O, groups] or [O, 1]."""

    bits: int
    axis: int
    scales: Tensor
    group: int


def on_real_weights(run: _Run) -> _Run:
    """Let a pass's `run` find real weights where they are rounded; see `real_weights`."""

    @wraps(run)
    def wrapped(self: Any, program: Program) -> Any:
        with real_weights(program):
            return run(self, program)

    return wrapped  # type: ignore[return-value]


@contextmanager
def real_weights(program: Program) -> Iterator[None]:
    """Inside, layers read what the integers of their weights stand for; then all are rounded again.

    Output channels whose weights still are whole numbers of their steps keep them, whatever was cut
    away: nothing is rounded twice. Others get new steps.
    """
    known = _widen(program)
    yield
    for name, how in known.items():
        nodes = program.graph.find_nodes(op="get_attr", target=name)
        if nodes and nodes[0].users:
            _round(program, nodes, how)
    if known:
        program.tidy()


def _widen(program: Program) -> dict[str, _Rounded]:
    """Exchange rounded weights for parameters; how they were rounded, by their new names."""
    found = {}
    for node in list(program.graph.nodes):
        if node.target not in (DEQUANTIZE_CHANNELS, _GROUPS):
            continue
        source, value = node.args[0], constant(program, node)
        integers, scales = weight_of(program, source), constant(program, node.args[1])
        if value is None or integers is None or scales is None:
            continue
        whole = node
        if node.target is DEQUANTIZE_CHANNELS:
            bits = min(max(int(integers.abs().max()).bit_length() + 1, 2), 8)
            how = _Rounded(bits, arguments_of(node)["axis"], scales[:, None], 0)
        else:
            bits = 4 if integers.dtype == torch.uint8 else 8
            how = _Rounded(bits, 0, scales, value.shape[1] // scales.shape[1])
            reader = next(iter(node.users))
            if reader.target is _RESHAPE and len(node.users) == 1:
                value, whole = value.reshape(shape_of(reader)), reader
        assert isinstance(source, Node), node
        name = str(source.target).removesuffix("_int8").removesuffix("_int4")
        real = program.add_weight(nn.Parameter(value), name, like=node)
        whole.replace_all_uses_with(real)
        found[str(real.target)] = how
    if found:
        program.tidy()
    return found


def _round(program: Program, nodes: list[Node], how: _Rounded) -> None:
    """Let all that read a weight read it rounded again."""
    weight = program.weight(nodes[0]).detach()
    readers = list(dict.fromkeys(reader for node in nodes for reader in node.users))
    before, group = min(readers), group_size(weight[0].numel(), how.group)
    if group:
        matrix = same_groups(weight.flatten(1), how.scales, how.bits, group)
        stored = store_groups(program, before, nodes[0], matrix, how.bits)
    else:
        bits = 8 if how.group else how.bits
        scales = weight_scales(weight, bits, how.axis)
        if not how.group:
            rows = weight.transpose(0, how.axis).flatten(1)
            scales = same_steps(rows, how.scales, scales[:, None], 2 ** (bits - 1) - 1)[:, 0]
        integers = nearest(weight, scales, bits, how.axis)
        stored = rounded(program, before, nodes[0], integers, scales, how.axis)
    for reader in readers:
        for node in nodes:
            reader.replace_input_with(node, stored)
