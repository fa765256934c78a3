"""Finds the values between the blocks of a program, and which of two programs belong together."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.fx import Node

from ...compiler.ir.program import Program, origin_of
from ...compiler.ir.rewrite import shape_of
from ...compiler.training.parameters import LAYERS, PRODUCTS

_ATEN = torch.ops.aten
_NORMS = {_ATEN.layer_norm.default, _ATEN.rms_norm.default}
Key = tuple[str, str, int]  # module path, source line, which of several there


@dataclass(frozen=True)
class Pair:
    """A hidden state of the student and that of the teacher it should become.

    `axis` is the one dimension on which the widths differ, None where they are equal.
    """

    student: Node
    teacher: Node
    axis: int | None = None


def hidden_states(program: Program) -> list[Node]:
    """The values through which all flows between blocks, in the order of the graph.

    These are values on every path from an input to the outputs, behind some layer, that a linear
    layer or convolution reads, more than one operator reads, or a normalization gives; and sums at
    the end of a block that none of these follows. In a transformer that is the residual stream
    between the blocks, in a convolutional network the features between its blocks.
    """
    parent, behind_layers = _post_dominators(program), _behind_layers(program)
    on_all_paths: set[Node] = set()
    for node in program.input_nodes:
        while node in parent:
            node = parent[node]
            on_all_paths.add(node)
    on_all_paths -= {program.graph.output_node(), *program.output_nodes}
    states: set[Node] = set()
    for node in reversed(program.graph.nodes):
        if node in on_all_paths & behind_layers and _is_features(node):
            reader = next(iter(node.users))
            ends_block = len(set(node.all_input_nodes) & behind_layers) > 1
            ends_block = ends_block and reader not in {*states, *program.output_nodes}
            is_read = len(node.users) > 1 or _is_multiplied(node)
            if is_read or node.target in _NORMS or ends_block:
                states.add(node)
    return [node for node in program.graph.nodes if node in states]


def pair_by_origin(
    student: Sequence[Node], teacher: Sequence[Node]
) -> tuple[list[Pair], list[tuple[Node, str]]]:
    """The states that come from the same place of the user's model; the others with the reason."""
    known = {key: node for node, key in places(teacher).items()}
    pairs: list[Pair] = []
    skipped: list[tuple[Node, str]] = []
    for node, key in places(student).items():
        if key not in known:
            skipped.append((node, "the teacher has no such state"))
            continue
        shapes = zip(shape_of(node), shape_of(known[key]), strict=False)
        differ = [axis for axis, (left, right) in enumerate(shapes) if left != right]
        same_rank = len(shape_of(node)) == len(shape_of(known[key]))
        if not same_rank or len(differ) > 1 or differ == [0]:
            skipped.append((node, f"the teacher's has shape {list(shape_of(known[key]))}"))
        else:
            pairs.append(Pair(node, known[key], differ[0] if differ else None))
    return pairs, skipped


def places(nodes: Sequence[Node]) -> dict[Node, Key]:
    """Where in the user's model each of these nodes comes from, told apart where several do."""
    seen: Counter[tuple[str, str]] = Counter()
    keys: dict[Node, Key] = {}
    for node in nodes:
        place = origin_of(node).module_path, origin_of(node).source
        keys[node] = (*place, seen[place])
        seen[place] += 1
    return keys


def _post_dominators(program: Program) -> dict[Node, Node]:
    """For each node the next one that every path from it to the output goes through."""
    output = program.graph.output_node()
    parent: dict[Node, Node] = {}
    depth = {output: 0}
    for node in reversed(program.graph.nodes):
        users = [user for user in node.users if user in depth]
        if not users:
            continue
        meeting = users[0]
        for user in users[1:]:
            while meeting is not user:  # climb from the deeper one until both are the same
                if depth[meeting] >= depth[user]:
                    meeting = parent[meeting]
                else:
                    user = parent[user]
        parent[node] = meeting
        depth[node] = depth[meeting] + 1
    return parent


def _behind_layers(program: Program) -> set[Node]:
    found: set[Node] = set()
    for node in program.graph.nodes:
        if node.target in LAYERS or any(source in found for source in node.all_input_nodes):
            found.add(node)
    return found


def _is_features(node: Node) -> bool:
    value = node.meta.get("val")
    return isinstance(value, torch.Tensor) and value.is_floating_point() and value.dim() > 1


def _is_multiplied(node: Node) -> bool:
    """Whether a linear layer or convolution reads it, perhaps with a border around it."""
    if node.target is _ATEN.pad.default:
        return False
    borders = [user for user in node.users if user.target is _ATEN.pad.default]
    readers = [user for value in (node, *borders) for user in value.users]
    return any(user.target in PRODUCTS and user.args[0] in (node, *borders) for user in readers)
