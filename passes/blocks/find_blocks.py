"""Finds the blocks of a program that can be removed, by the structure of its graph."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import torch
from torch.fx import Node

from ...compiler.ir.op_kinds import Kind, kind_of
from ...compiler.ir.program import Program, node_specs, origin_of
from ...compiler.macs import macs
from .block import Block, PartKind
from .shortcuts import chain_after, find_shortcuts, reach_of, tail_of

_ATEN = torch.ops.aten
_TRIVIAL = (Kind.ELEMENTWISE, Kind.VIEW, Kind.MOVE)
_PER_POSITION = (_ATEN.linear, _ATEN.matmul, _ATEN.mm, _ATEN.addmm)
_CONVOLUTIONS = (_ATEN.conv1d, _ATEN.conv2d, _ATEN.conv3d)


def find_blocks(program: Program) -> list[Block]:
    """The blocks in the order of their results: parts of layers, then the layers they make up.

    Any sum of a value and of what is computed from it closes a part; parts that follow one another
    in one module of the user's model make a layer. Other values that a block reads (masks, the
    output of an encoder) do not matter. What a removal leaves without work is no block.
    """
    parts = _find_parts(program)
    blocks: list[Block] = []
    layers = _layers(parts)
    for layer in layers:
        path = ".".join(_levels(layer)) or "model"
        is_layer = not _is_inside(layer, layers)
        blocks += _blocks_of_layer(program, path, layer, is_layer=is_layer)
    return _with_unique_names(blocks)


@dataclass(frozen=True, eq=False)
class _Part:
    """One shortcut with its branch and tail."""

    entry: Node
    exit: Node
    sum: Node
    entry_sum: Node | None
    nodes: tuple[Node, ...]


def _find_parts(program: Program) -> list[_Part]:
    parts = []
    shortcuts = find_shortcuts(program, reach_of(program))
    skips = {shortcut.skip for shortcut in shortcuts}
    for shortcut in shortcuts:
        tail, entry_sum = tail_of(shortcut, skips)
        end = tail[-1] if tail else shortcut.sum
        freed = freed_by(program, shortcut.skip, end)
        if any(kind_of(node) not in _TRIVIAL for node in freed if node not in tail):
            parts.append(_Part(shortcut.skip, end, shortcut.sum, entry_sum, freed))
    return parts


def freed_by(program: Program, entry: Node, end: Node) -> tuple[Node, ...]:
    """What nobody reads any more once `entry` stands for `end`, in graph order."""
    freed = {end}
    for node in reversed(program.graph.nodes):
        is_call = node.op == "call_function" and node is not entry
        if is_call and node.users and all(user in freed for user in node.users):
            freed.add(node)
    return tuple(node for node in program.graph.nodes if node in freed)


def _layers(parts: Sequence[_Part]) -> list[list[_Part]]:
    """Parts that follow one another, cut where the module below their common one changes.

    Where that tells nothing (the common module itself sums up a part) a kind that comes again
    starts another layer, and so does a weight: some models run one layer repeatedly.
    """
    layers: list[list[_Part]] = []
    for chain in (part for whole in _chains(parts) for part in _without_prelude(whole)):
        below = _below_common_module(chain)
        used: set[object] = set()
        for index, part in enumerate(chain):
            marks: set[object] = {s.target for node in part.nodes for s in _weights(node)}
            if not below[index]:
                marks.add(_kind(part.nodes))
            if index and below[index] == below[index - 1] and not marks & used:
                layers[-1].append(part)
            else:
                layers.append([part])
                used = set()
            used |= marks
    return layers


def _without_prelude(chain: list[_Part]) -> list[list[_Part]]:
    """The chain, and apart from it a first part that lies in a module around all the others."""
    first, rest = chain[:1], chain[1:]
    if rest and len(_levels(first)) < len(_levels(rest)):
        return [first, *_without_prelude(rest)]
    return [chain]


def _below_common_module(chain: Sequence[_Part]) -> list[str]:
    """For each part the module right below the one they share that it lies in."""
    paths = [_levels([part]) for part in chain]
    depth = len(_levels(chain))
    if any(len(path) == depth for path in paths):
        return [""] * len(chain)
    return [path[depth] for path in paths]


def _chains(parts: Sequence[_Part]) -> list[list[_Part]]:
    """Runs in which each part starts where the one before ends, or a norm or reshape later."""
    chains: list[list[_Part]] = []
    open_at: dict[Node, list[_Part]] = {}
    for part in parts:
        chain = open_at.get(part.entry, [])
        if not chain:
            chains.append(chain)
        chain.append(part)
        for node in (part.sum, part.exit, *chain_after(part.sum)):
            open_at[node] = chain
    return chains


def _is_inside(layer: Sequence[_Part], others: Sequence[Sequence[_Part]]) -> bool:
    """Whether a part of another layer holds all of this one."""
    nodes = {node for part in layer for node in part.nodes}
    return any(nodes < set(part.nodes) for other in others for part in other)


def _blocks_of_layer(
    program: Program, path: str, layer: Sequence[_Part], *, is_layer: bool
) -> list[Block]:
    if len(layer) == 1 and is_layer:
        part = layer[0]
        return [_block(path, layer, part.exit, part.nodes, is_layer=True)]
    blocks = [
        _block(f"{path}[{_kind(part.nodes)}]", [part], part.exit, part.nodes, is_layer=False)
        for part in layer
    ]
    end = _end_of_layer(layer)
    if end is None or not is_layer:
        return blocks
    nodes = freed_by(program, layer[0].entry, end)
    return [*blocks, _block(path, layer, end, nodes, is_layer=True)]


def _end_of_layer(layer: Sequence[_Part]) -> Node | None:
    """Where the stream is again as at the entry: a tail that the entry lacks stays."""
    first, last = layer[0], layer[-1]
    if first.entry_sum is not None or last.entry_sum is None:
        ends = [last.exit, *chain_after(last.exit)]
    else:
        ends = [last.sum]
    same = (end for end in ends if node_specs(end) == node_specs(first.entry))
    return next(same, None)


def _block(
    name: str, parts: Sequence[_Part], end: Node, nodes: tuple[Node, ...], *, is_layer: bool
) -> Block:
    first, last = parts[0], parts[-1]
    return Block(
        name=name,
        parts=tuple(_kind(part.nodes) for part in parts),
        is_layer=is_layer,
        entry=first.entry,
        exit=end,
        sum=last.sum,
        entry_sum=first.entry_sum if end is last.exit and last.entry_sum is not None else None,
        nodes=nodes,
        macs=sum(map(macs, nodes)),
    )


def _kind(nodes: Iterable[Node]) -> PartKind:
    """Attention multiplies by the result of a softmax; an ffn sees single positions."""
    nodes = list(nodes)
    products = [node for node in nodes if macs(node)]
    if any(node.target is _ATEN.scaled_dot_product_attention.default for node in nodes):
        return "attention"
    has_softmax = any(
        getattr(node.target, "overloadpacket", None) is _ATEN.softmax for node in nodes
    )
    if has_softmax and any(not _weights(node) for node in products):
        return "attention"
    return "ffn" if products and all(map(_is_per_position, products)) else "other"


def _is_per_position(node: Node) -> bool:
    packet = getattr(node.target, "overloadpacket", None)
    if packet in _CONVOLUTIONS:
        weight = node.args[1]
        assert isinstance(weight, Node), node.format_node()
        return set(weight.meta["val"].shape[2:]) == {1}
    return packet in _PER_POSITION


def _levels(parts: Iterable[_Part]) -> list[str]:
    """The path of the innermost module of the user's model that does all the work of the parts."""
    nodes = [node for part in parts for node in part.nodes if macs(node) or node is part.sum]
    paths = [origin_of(node).module_path.split(".") for node in nodes]
    levels = takewhile(lambda level: len(set(level)) == 1, zip(*paths, strict=False))
    return [level[0] for level in levels]


def _weights(node: Node) -> list[Node]:
    return [source for source in node.all_input_nodes if source.op == "get_attr"]


def _with_unique_names(blocks: list[Block]) -> list[Block]:
    seen: dict[str, int] = {}
    result = []
    for block in blocks:
        seen[block.name] = seen.get(block.name, 0) + 1
        number = seen[block.name]
        result.append(replace(block, name=f"{block.name}({number})") if number > 1 else block)
    return result
