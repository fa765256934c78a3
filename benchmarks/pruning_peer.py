"""Prunes the digits' residual network with Torch-Pruning, as `benchmarks.pruning` asks for.

python -m benchmarks.pruning_peer NETWORK STATE SEED ROWS

Runs in an environment that has torch-pruning; needs nothing of penjing. STATE holds the weights of
the trained network, ROWS is the JSON to write.
"""

import copy
import json
import sys
from functools import partial
from pathlib import Path

import torch
import torch_pruning
from torch import nn

from .digits import GRADIENT_IMAGES, KEPT, NETWORKS, Digits, healed, load, network_macs
from .table import Row

STEPS = 200  # in which everything would be gone: the network is measured after each


def main() -> None:
    """Prune to each size by each criterion, fine-tune, write what is recognized."""
    network, state, seed, rows = sys.argv[1:]
    model, digits = NETWORKS[network](), load(int(seed))
    model.load_state_dict(torch.load(state))
    model.eval()
    found = []
    for kept in KEPT:
        for criterion, scope in (("L2", "global"), ("L2", "uniform"), ("Taylor", "global")):
            smaller = prune(model, digits, kept, criterion, scope == "global")
            row: Row = {"tool": f"Torch-Pruning, {criterion} {scope}", "kept": kept}
            row["macs"] = network_macs(smaller)
            found.append(row | healed(partial(copy.deepcopy, smaller), model, digits))
    Path(rows).write_text(json.dumps(found))


def prune(
    model: nn.Module, digits: Digits, kept: float, criterion: str, is_global: bool
) -> nn.Module:
    """A copy with at most the share `kept` of the multiply-adds."""
    smaller, goal = copy.deepcopy(model), kept * network_macs(model)
    importance = {
        "L2": torch_pruning.importance.GroupMagnitudeImportance(p=2),
        "Taylor": torch_pruning.importance.GroupTaylorImportance(),
    }[criterion]
    images, labels = (part[:GRADIENT_IMAGES] for part in digits.train)
    pruner = torch_pruning.pruner.BasePruner(
        smaller,
        images[:1],
        importance,
        global_pruning=is_global,
        pruning_ratio=1.0,
        max_pruning_ratio=1.0,
        iterative_steps=STEPS,
        ignored_layers=[each for each in smaller.modules() if isinstance(each, nn.Linear)],
    )
    for _ in range(STEPS):
        if network_macs(smaller) <= goal:
            break
        if criterion == "Taylor":
            smaller.zero_grad()
            nn.functional.cross_entropy(smaller(images), labels).backward()
        pruner.step()
    return smaller


if __name__ == "__main__":
    main()
