"""Heals a program that lost blocks, in closed form.

Layer after layer, from the one that stands in for the first removed block on, is fitted by least
squares: the last layer before a gap is to give what the missing block gave, later ones what they
gave in the original, from what they read now. Nothing but biases is added to the program. The
bridge over a gap is thus part of the layer before it; what it cannot repair later layers make up
for.

Fitting layers in sequence to the original's values from the changed program's inputs: He et al.
2017, "Channel Pruning for Accelerating Very Deep Neural Networks".
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch.fx import Node

from ...compiler.ir.program import Program
from ...compiler.ir.rewrite import arguments_of, shape_of
from ..channels.frontier import Frontier
from ..channels.readers import Reader
from .closing import Place
from .evidence import Evidence
from .refit import Fit
from .student import Student, fitted_at

_ATEN = torch.ops.aten
_TAKE_BIAS = (_ATEN.linear.default, _ATEN.conv1d.default, _ATEN.conv2d.default)


@dataclass(frozen=True, kw_only=True)
class Healing:
    """How to heal.

    Args:
        evidence: Calibration data.
        fit: How to fit one layer.
        progress: Called with the fraction that is done.
    """

    evidence: Evidence
    fit: Fit
    progress: Callable[[float], None]

    def run(self, student: Student) -> list[str]:
        """Fit what follows the first gap; the names of the weights that were fitted."""
        program, batches = student.program, self.evidence.batches
        layers = _behind_gap(student)
        for layer, place in layers:
            if place.node is not layer.call:
                ensure_bias(program, layer.call)
        mine, original = Frontier(program, batches), Frontier(student.teacher, batches)
        fitted = []
        for number, (outdated, place) in enumerate(layers):
            self.progress(number / len(layers))
            reader = fitted_at(outdated.call)
            assert reader is not None, outdated.call
            goal, twin = student.goal_at(place), student.twins[reader.call]
            goals = (values[goal] for values in original.values([goal]))
            weights = self.evidence.weights[twin]
            new = self.fit.layer(program, mine, reader, place, goals, weights, batches)
            reader.store(program, *new)
            fitted.append(str(reader.weight.target))
            mine.advance(reader.call)
            original.advance(twin)
        return fitted


def _behind_gap(student: Student) -> list[tuple[Reader, Place]]:
    """The layers to fit: all from the first that stands in for a removed block on."""
    layers = student.layers()
    order = {node: number for number, node in enumerate(student.program.graph.nodes)}
    starts = [order[node] + 1 for node in student.gaps if node in order]
    starts += [order[r.call] for r, place in layers if place.node in student.junctions]
    first = min(starts, default=len(order))
    return [(reader, place) for reader, place in layers if order[reader.call] >= first]


def ensure_bias(program: Program, call: Node) -> None:
    """Give a layer a bias, 0, so that it can make up for a shifted mean."""
    if call.target not in _TAKE_BIAS or arguments_of(call)["bias"] is not None:
        return
    weight = arguments_of(call)["weight"]
    values = torch.zeros(shape_of(weight)[0], dtype=weight.meta["val"].dtype)
    module, dot, _ = str(weight.target).rpartition(".")
    bias = program.add_weight(torch.nn.Parameter(values), f"{module}{dot}bias", like=weight)
    call.args = (*call.args[:2], bias, *call.args[3:])
