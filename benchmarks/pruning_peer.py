"""Prunes the digits' residual network with Torch-Pruning, as `benchmarks.pruning` asks for.

python -m benchmarks.pruning_peer NETWORK STATE SEED ROWS

Runs in an environment that has torch-pruning; needs nothing of penjing. STATE holds the weights of
the trained network, ROWS is the JSON to write.
"""

import copy
import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch_pruning
from torch import nn

from .digits import GRADIENT_IMAGES, KEPT, NETWORKS, Digits, accuracy, fine_tune, load, network_macs

STEPS = 200  # in which everything would be gone: the network is measured after each


def main() -> None:
    """Prune to each size by each criterion, fine-tune, write what is recognized."""
    network, state, seed, rows = sys.argv[1:]
    model, digits = NETWORKS[network](), load(int(seed))
    model.load_state_dict(torch.load(state))
    found = []
    for kept in KEPT:
        for criterion in ("L2", "Taylor"):
            for scope in ("global", "uniform"):
                torch.manual_seed(int(seed))
                smaller = prune(model.eval(), digits, kept, criterion, scope == "global")
                row: dict[str, Any] = {"tool": f"Torch-Pruning, {criterion} {scope}"}
                row |= {"seed": int(seed), "kept": kept, "macs": network_macs(smaller)}
                row["untrained %"] = accuracy(smaller, digits.test)
                fine_tune(smaller, digits)
                found.append({**row, "accuracy %": accuracy(smaller, digits.test)})
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
