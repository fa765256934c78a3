"""Reading some positions of a dimension: which they are before and after it has shrunk."""

import numpy as np
import torch
from torch.fx import Node

from ..ir.program import Program
from .atoms import Ints
from .flow import Flow
from .labels import Block, Labels
from .reshaping import simplified
from .survivors import Survivors

_ATEN = torch.ops.aten


def picked(flow: Flow, labels: Labels, dim: int, positions: Ints) -> Labels:
    """The labels of a tensor made of some positions of one dimension, in that order."""
    block = labels.block(dim)
    atoms = block.atoms.take(positions, block.axis(dim))
    blocks = simplified(flow, Block(block.dims, atoms, block.vanishes))
    shape = (*labels.shape[:dim], len(positions), *labels.shape[dim + 1 :])
    return Labels(shape, (*(each for each in labels.blocks if each is not block), *blocks))


def pick_survivors(flow: Flow, node: Node, block: Block, dim: int, positions: Ints) -> None:
    """Let `node`, which reads `positions` of its first operand, read those of them that stay."""

    def shrink(program: Program, survivors: Survivors) -> None:
        alive = survivors.mask(block, dim)
        if not alive.all():
            left = (np.cumsum(alive) - 1)[positions[alive[positions]]]
            _read(program, node, dim, left)

    flow.rewrites.append(shrink)


def _read(program: Program, node: Node, dim: int, positions: Ints) -> None:
    """Make `node` a slice where the positions are evenly spaced, else an index_select."""
    steps = np.unique(np.diff(positions))
    node.kwargs = {}
    if not len(positions) or len(steps) > 1 or (steps <= 0).any():
        index = program.add_weight(torch.from_numpy(positions), like=node)
        node.target, node.args = _ATEN.index_select.default, (node.args[0], dim, index)
        return
    start, end = int(positions[0]), int(positions[-1]) + 1
    step = int(steps[0]) if len(steps) else 1
    node.target, node.args = _ATEN.slice.Tensor, (node.args[0], dim, start, end, step)
