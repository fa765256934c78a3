"""The optimizers that programs are trained with."""

from collections.abc import Sequence
from typing import Any

import torch

from .options import TrainingOptions

_ITERATIONS = 3  # of Newton and Schulz; PyTorch makes 5, and they are what an update costs
Group = dict[str, Any]


def make_optimizer(groups: Sequence[Group], options: TrainingOptions) -> torch.optim.Optimizer:
    """AdamW, or with Muon for the groups that are marked as `matrices`."""
    if options.optimizer == "muon":
        return MuonAdamW(groups, options.lr)
    return torch.optim.AdamW(groups, lr=options.lr, fused=True)


class MuonAdamW(torch.optim.Optimizer):
    """Muon for groups of matrices, AdamW for the others.

    Muon (Jordan et al. 2024) makes the momentum of a matrix orthogonal, so that an update changes
    all directions alike. Updates are as long as those of AdamW (Liu et al. 2025, "Muon is scalable
    for LLM training"), so both take the same learning rate.
    """

    def __init__(self, groups: Sequence[Group], lr: float) -> None:
        matrices = [group for group in groups if group.get("matrices")]
        others = [group for group in groups if not group.get("matrices")]
        self.parts: list[torch.optim.Optimizer] = []
        if matrices:
            scaled = "match_rms_adamw"
            muon = torch.optim.Muon(matrices, lr=lr, ns_steps=_ITERATIONS, adjust_lr_fn=scaled)
            self.parts.append(muon)
        if others:
            self.parts.append(torch.optim.AdamW(others, lr=lr, fused=True))
        super().__init__(self._groups(), {"lr": lr})
        self.param_groups = self._groups()

    def _groups(self) -> list[Group]:
        """Those of the parts themselves: a learning rate that is set here holds there."""
        return [group for part in self.parts for group in part.param_groups]

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Update all weights that have a gradient; there is no closure."""
        for part in self.parts:
            part.step()

    def state_dict(self) -> dict[str, Any]:
        """The states of the parts."""
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = self._groups()
