"""Ensembles of decision trees: all trees go down one level at a time."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..arrays import as_tensor
from ..call import Call
from ..registry import onnx_op
from .tabular import ML, transformed

_LEAF = "LEAF"
_COMPARISONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "BRANCH_LEQ": torch.le,
    "BRANCH_LT": torch.lt,
    "BRANCH_GTE": torch.ge,
    "BRANCH_GT": torch.gt,
    "BRANCH_EQ": torch.eq,
    "BRANCH_NEQ": torch.ne,
}


@dataclass(frozen=True)
class _Trees:
    """Nodes of all trees in one table; leaves are their own children.

    Args:
        roots: Of the trees.
        features: That a node compares.
        thresholds: That it compares with.
        children: [nodes, 2]: where to go if the comparison is false, and if it is true.
        missing: Where to go if the feature is NaN: 1 is where a true comparison goes.
        depth: Comparisons on the longest way.
        compare: feature and threshold.
    """

    roots: np.ndarray
    features: np.ndarray
    thresholds: np.ndarray
    children: np.ndarray
    missing: np.ndarray
    depth: int
    compare: Callable[[Tensor, Tensor], Tensor]

    def leaves(self, x: Tensor) -> Tensor:
        """The leaf of each tree that each row of features [N, F] comes to: [N, trees]."""
        features, thresholds = as_tensor(self.features), as_tensor(self.thresholds)
        children, missing = as_tensor(self.children.reshape(-1)), as_tensor(self.missing)
        places = as_tensor(self.roots)[None].expand(len(x), -1)
        for _ in range(self.depth):
            values = torch.gather(x, 1, features[places])
            is_true = self.compare(values, thresholds[places])
            if self.missing.any():
                is_true = torch.where(torch.isnan(values), missing[places], is_true)
            places = children[places * 2 + is_true.long()]
        return places


@onnx_op("TreeEnsembleRegressor", domain=ML)
def tree_regression(call: Call) -> Tensor:
    count = call.attribute("n_targets", 1)
    means = {"SUM": False, "AVERAGE": True}
    aggregate = call.attribute("aggregate_function", "SUM")
    if aggregate not in means:
        raise call.refused(f"aggregate_function {aggregate!r}")
    return transformed(call, _scores(call, "target", count, is_mean=means[aggregate]))


@onnx_op("TreeEnsembleClassifier", domain=ML)
def tree_classification(call: Call) -> tuple[Tensor, Tensor]:
    """The label with the largest score, and the scores of all labels."""
    labels = call.attributes.get("classlabels_int64s")
    if not labels:
        raise call.refused("labels that are strings")
    if set(call.needed("class_ids")) != set(range(len(labels))):
        raise call.refused("trees that do not vote for each label")
    scores = _scores(call, "class", len(labels), is_mean=False)
    return torch.tensor(labels)[torch.argmax(scores, -1)], transformed(call, scores)


def _scores(call: Call, role: str, count: int, *, is_mean: bool) -> Tensor:
    """Sums or means of what the leaves vote for: [N, count]."""
    places, trees = _read_trees(call)
    votes = np.zeros((len(places), count), np.float32)
    names = [f"{role}_{name}" for name in ("treeids", "nodeids", "ids")]
    voters = list(zip(*map(call.needed, names), strict=True))
    if len(set(voters)) != len(voters):
        raise call.refused("a leaf that votes twice for the same")
    for (tree, node, target), amount in zip(voters, call.needed(f"{role}_weights"), strict=True):
        votes[places[tree, node], target] = amount
    leaves = trees.leaves(call.tensor(0).to(torch.float32))
    total = as_tensor(votes)[leaves].sum(1)
    if is_mean:
        total = total / len(trees.roots)
    base = call.attributes.get("base_values")
    return total + torch.tensor(base, dtype=torch.float32) if base else total


def _read_trees(call: Call) -> tuple[dict[tuple[int, int], int], _Trees]:
    """The place of each node in the table, by tree and node, and the table."""
    names = list(zip(call.needed("nodes_treeids"), call.needed("nodes_nodeids"), strict=True))
    places = {name: place for place, name in enumerate(names)}
    modes = call.needed("nodes_modes")
    is_leaf = np.array([mode == _LEAF for mode in modes])
    kinds = sorted({mode for mode in modes if mode != _LEAF}) or ["BRANCH_LEQ"]
    if len(places) != len(names) or len(modes) != len(names) or len(kinds) != 1:
        raise call.refused(f"nodes that are named twice, or compare in several ways: {kinds}")
    if kinds[0] not in _COMPARISONS:
        raise call.refused(f"mode {kinds[0]!r}")
    sides = [call.needed(f"nodes_{side}nodeids") for side in ("false", "true")]
    children = np.array(
        [
            [place, place] if is_leaf[place] else [places[tree, side[place]] for side in sides]
            for place, (tree, _) in enumerate(names)
        ]
    )
    roots = np.array(sorted(set(range(len(names))) - set(children[~is_leaf].reshape(-1).tolist())))
    missing = call.attributes.get("nodes_missing_value_tracks_true") or [0] * len(names)
    return places, _Trees(
        roots=roots,
        features=np.array(call.needed("nodes_featureids"), np.int64),
        thresholds=np.array(call.needed("nodes_values"), np.float32),
        children=children,
        missing=np.array(missing, bool),
        depth=_depth(call, children, roots),
        compare=_COMPARISONS[kinds[0]],
    )


def _depth(call: Call, children: np.ndarray, roots: np.ndarray) -> int:
    """Steps until all ways from the roots end."""
    reached = roots
    for depth in range(len(children) + 1):
        following = np.unique(children[reached])
        if np.array_equal(children[following], np.stack([following, following], 1)):
            ended = np.array_equal(children[reached], np.stack([reached, reached], 1))
            return depth if ended else depth + 1
        reached = following
    raise call.refused("nodes that are their own descendants")
