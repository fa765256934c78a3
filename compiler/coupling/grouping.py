"""From classes of atoms to groups of units that appear in the same places."""

from collections.abc import Iterable, Iterator
from itertools import takewhile

import numpy as np
from torch.fx import Node

from ..ir.program import origin_of
from .atoms import HEAD_DIM, HEADS, INEXACT, Ints
from .constraints import deciding_dims
from .flow import Flow, Use
from .groups import Group, Kind, Locked, Member
from .labels import Labels
from .rules.convolution import CONVOLUTIONS

_ALONE = "something holds nothing else, and would be empty"


def groups_of(flow: Flow) -> tuple[Group, ...]:
    """The groups in the order in which the graph produces them.

    Two units are of one group if they occur equally often in each dimension of each value and
    weight. So a dimension that holds one unit of a group holds all of them, and does not become
    empty while one stays.
    """
    signatures = _signatures(flow)
    classes: dict[int, dict[int, None]] = {}
    for (weight, dim), use in flow.uses.items():
        if use.role == "out":
            atoms = flow.weights[weight].atoms(dim)
            for root in flow.atoms.find(atoms[~flow.atoms.is_locked(atoms)]).tolist():
                classes.setdefault(int(signatures[root]), {}).setdefault(root)
    found = [np.array(list(roots), np.int64) for roots in classes.values() if len(roots) > 1]
    places = _Places(flow, found)
    names: dict[str, int] = {}
    return tuple(_group(flow, places, number, names) for number in range(len(found)))


def locked_of(flow: Flow, groups: tuple[Group, ...]) -> tuple[Locked, ...]:
    """What weights produce that is in none of the groups, once for each reason."""
    grouped = np.concatenate([np.empty(0, np.int64), *(group.classes for group in groups)])
    sizes: dict[tuple[str, str, str], int] = {}
    for (weight, dim), use in flow.uses.items():
        if use.role == "out":
            atoms = flow.weights[weight].atoms(dim)
            rest = atoms[~np.isin(flow.atoms.find(atoms), grouped)]
            name = module_of(use.call, weight)
            for why, size in flow.atoms.reasons(rest).items():
                key = (name, *(why or (_ALONE, name)))
                sizes[key] = max(size, sizes.get(key, 0))
    return tuple(Locked(name, size, *why) for (name, *why), size in sizes.items())


def module_of(call: Node, weight: str) -> str:
    """The module path of a call, or that of its weight where it says more."""
    path, stem = origin_of(call).module_path, weight.rpartition(".")[0]
    return path if path and not stem.startswith(f"{path}.") else stem or weight


def _dimensions(flow: Flow) -> Iterator[Ints]:
    """The roots of all positions of every dimension of every weight and value."""
    for labels in flow.weights.values():
        for block in labels.blocks:
            yield flow.atoms.find(block.atoms)
    for _, labels in _calls(flow):
        for block in labels.blocks:
            yield flow.atoms.find(block.atoms).ravel()


def _calls(flow: Flow) -> Iterator[tuple[Node, Labels]]:
    for node, labels in flow.values.items():
        if node.op == "call_function" and isinstance(labels, Labels):
            yield node, labels


def _signatures(flow: Flow) -> Ints:
    """A number for each atom, the same for roots that occur equally often everywhere.

    It is the sum of a random number for each dimension in which the root occurs: equal numbers by
    chance have a probability of 2^-63.
    """
    signatures = np.zeros(len(flow.atoms), np.int64)
    generator = np.random.default_rng(0)
    for roots in _dimensions(flow):
        np.add.at(signatures, roots, generator.integers(np.iinfo(np.int64).max))
    return signatures


class _Places:
    """Where the units of all groups are."""

    def __init__(self, flow: Flow, classes: list[Ints]) -> None:
        self.classes = classes
        self._group = np.full(len(flow.atoms), -1)
        self._unit = np.full(len(flow.atoms), -1)
        for number, roots in enumerate(classes):
            self._group[roots], self._unit[roots] = number, np.arange(len(roots))
        self.members: list[list[Member]] = [[] for _ in classes]
        self.nodes: list[dict[Node, tuple[int, Ints]]] = [{} for _ in classes]
        for (weight, dim), use in _all_uses(flow).items():
            for number, units in self._units(flow, flow.weights[weight].atoms(dim)):
                self.members[number].append(Member(weight, dim, units, use.role, use.call))
        for node, labels in _calls(flow):
            for block in labels.blocks:
                dim = deciding_dims(flow.atoms, block)[0]
                for number, units in self._units(flow, block.rows(dim)[:, 0]):
                    self.nodes[number].setdefault(node, (dim, units))

    def _units(self, flow: Flow, atoms: Ints) -> Iterator[tuple[int, Ints]]:
        """Each group in a dimension, with its unit at each position."""
        roots = flow.atoms.find(atoms)
        groups, units = self._group[roots], self._unit[roots]
        for number in np.unique(groups[groups >= 0]).tolist():
            yield number, np.where(groups == number, units, -1)


def _all_uses(flow: Flow) -> dict[tuple[str, int], Use]:
    """The uses that the rules noted, then "scale" for what they did not mention."""
    uses = dict(flow.uses)
    for node in flow.program.graph.find_nodes(op="get_attr"):
        for dim in range(len(flow.weight(node).shape)):
            uses.setdefault((str(node.target), dim), Use("scale", next(iter(node.users))))
    return uses


def _group(flow: Flow, places: _Places, number: int, names: dict[str, int]) -> Group:
    classes, members = places.classes[number], tuple(places.members[number])
    producers = [member for member in members if member.role == "out"]
    kind = _kind(flow, classes, producers[0].call)
    name = module_of(producers[0].call, producers[0].weight)
    if kind in ("heads", "head_dim"):
        name = _common_path(module_of(each.call, each.weight) for each in producers) or name
    names[name] = names.get(name, 0) + 1
    return Group(
        name=name if names[name] == 1 else f"{name}#{names[name]}",
        kind=kind,
        size=len(classes),
        members=members,
        nodes=places.nodes[number],
        exact=not flow.atoms.marked(classes, INEXACT).any(),
        classes=classes,
    )


def _kind(flow: Flow, classes: Ints, producer: Node) -> Kind:
    if flow.atoms.marked(classes, HEADS).any():
        return "heads"
    if flow.atoms.marked(classes, HEAD_DIM).any():
        return "head_dim"
    if flow.atoms.marked(classes, INEXACT).any():
        return "hidden"
    return "channels" if producer.target in CONVOLUTIONS else "features"


def _common_path(paths: Iterable[str]) -> str:
    """The module path that all of the paths begin with."""
    levels = zip(*(path.split(".") for path in paths), strict=False)
    same = takewhile(lambda names: len(set(names)) == 1, levels)
    return ".".join(names[0] for names in same)
