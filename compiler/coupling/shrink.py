"""Make tensors really smaller: slice weights, and rewrite every size baked into the graph."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn

from ..errors import CompileError
from ..ir.inference import set_value
from ..ir.program import Program
from ..ir.verify import verify
from .analyze import Coupling
from .atoms import Ints, Mask
from .groups import Group
from .labels import Labels
from .survivors import Survivors


def shrink(program: Program, coupling: Coupling, keep: Mapping[Group, Mask]) -> int:
    """Drop units from a program in place; the number of weights that changed.

    Args:
        program: The one that was analyzed. Parameters stay parameters.
        coupling: What `analyze(program)` gave; it is of no use afterwards.
        keep: For groups of it, a mask [size] of the units that stay; all stay in other groups.

    Raises:
        CompileError: A mask has another size, or keeps nothing; or the coupling is of another
            program.
    """
    if coupling.flow.program is not program:
        raise CompileError("the coupling is of another program", fix="call analyze(program)")
    dropped = _dropped(coupling, {group: ~_checked(group, mask) for group, mask in keep.items()})
    survivors = Survivors(coupling.flow.atoms, dropped)
    weights = coupling.flow.weights.items()
    changed = sum(_slice(program, name, labels, survivors) for name, labels in weights)
    if changed:
        for rewrite in coupling.flow.rewrites:
            rewrite(program, survivors)
        for node in program.graph.nodes:
            if node.op == "call_function":
                set_value(node)
        program.tidy()
        verify(program)
    return changed


def zero_out(program: Program, coupling: Coupling, drop: Mapping[Group, Mask]) -> Program:
    """A copy of the program in which the weights of dropped units are 0.

    Pruning the same units of `exact` groups gives a program that computes the same. A weight that
    something divides by is left alone.

    Args:
        program: The one that was analyzed; untouched.
        coupling: What `analyze(program)` gave.
        drop: For groups of it, a mask [size] of the units to drop.
    """
    dropped = _dropped(coupling, {group: ~_checked(group, ~mask) for group, mask in drop.items()})
    survivors = Survivors(coupling.flow.atoms, dropped)
    masked = program.copy()
    weights = masked.weights
    for name, labels in coupling.flow.weights.items():
        for dim in range(len(labels.shape)):
            gone = ~survivors.alive(labels.atoms(dim))
            if gone.any() and labels.vanishes(dim):
                with torch.no_grad():
                    weights[name].index_fill_(dim, torch.from_numpy(np.flatnonzero(gone)), 0)
    return masked


def _checked(group: Group, keep: Mask) -> Mask:
    keep = np.asarray(keep)
    if keep.shape != (group.size,) or keep.dtype != np.bool_:
        raise CompileError(
            "the units to keep must be one bool for each unit of a group",
            at=group.name,
            got=f"{keep.dtype}{list(keep.shape)} for {group.size} units",
        )
    if not keep.any():
        raise CompileError(
            "at least one unit of a group must stay", at=group.name, fix="remove the layer instead"
        )
    return keep


def _dropped(coupling: Coupling, drop: Mapping[Group, Mask]) -> Ints:
    """The classes of the dropped units."""
    foreign = [group.name for group in drop if group not in coupling.groups]
    if foreign:
        raise CompileError("a group is not of this coupling", at=foreign[0])
    empty = np.empty(0, np.int64)
    return np.concatenate([empty, *(group.classes[mask] for group, mask in drop.items())])


def _slice(program: Program, name: str, labels: Labels, survivors: Survivors) -> bool:
    """Drop positions of a weight; whether there were any to drop."""
    nodes = program.graph.find_nodes(op="get_attr", target=name)
    old = program.weight(nodes[0])
    new = old.detach()
    for dim in range(len(labels.shape)):
        alive = survivors.alive(labels.atoms(dim))
        if not alive.all():
            new = new.index_select(dim, torch.from_numpy(np.flatnonzero(alive)).to(new.device))
    if new.shape == old.shape:
        return False
    if isinstance(old, nn.Parameter):
        new = nn.Parameter(new, requires_grad=old.requires_grad)
    for node in nodes:
        program.replace_weight(node, new)
    return True
