"""Recurrent layers step by step: activations of all kinds, sequences of different lengths."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

from ..call import Call

Function = Callable[[Tensor], Tensor]
# gates without what the state adds, states and the recurrent weight -> states
Cell = Callable[[Tensor, list[Tensor], Tensor], list[Tensor]]

_DEFAULTS = {
    "Affine": (1.0, 0.0),
    "LeakyRelu": (0.01, 0.0),
    "ThresholdedRelu": (1.0, 0.0),
    "ScaledTanh": (1.0, 1.0),
    "HardSigmoid": (0.2, 0.5),
    "Elu": (1.0, 0.0),
}
_TAKES_ALPHA = set(_DEFAULTS)
_TAKES_BETA = {"Affine", "ScaledTanh", "HardSigmoid"}


def activations_of(
    call: Call, usual: list[str], ways: int, *, always: bool = False
) -> list[Function] | None:
    """The activations of all directions; None if they are the usual ones, unless `always`."""
    names = call.attribute("activations", usual * ways)
    if names == usual * (len(names) // len(usual)) and not always:
        return None
    alphas = iter(call.attribute("activation_alpha", [0.0] * 0))
    betas = iter(call.attribute("activation_beta", [0.0] * 0))
    clip = call.attribute("clip", 0.0)
    if len(names) % len(usual):
        raise call.refused(f"attribute activations is {names}")
    functions = [_activation(call, name, alphas, betas) for name in names]
    # as in onnxruntime, sums are clipped, and the cell of LSTM, the third kind, is not
    return [
        _clipped(function, clip) if index % len(usual) < 2 else function
        for index, function in enumerate(functions)
    ]


def _clipped(function: Function, clip: float) -> Function:
    return (lambda x: function(x.clamp(-clip, clip))) if clip > 0 else function


def _activation(call: Call, name: str, alphas: Iterator[float], betas: Iterator[float]) -> Function:
    """An activation by its name, which takes its parameters from the front of the lists."""
    alpha, beta = _DEFAULTS.get(name, (0.0, 0.0))
    alpha = next(alphas, alpha) if name in _TAKES_ALPHA else alpha
    beta = next(betas, beta) if name in _TAKES_BETA else beta
    known: dict[str, Function] = {
        "Relu": torch.relu,
        "Tanh": torch.tanh,
        "Sigmoid": torch.sigmoid,
        "Softsign": functional.softsign,
        "Softplus": functional.softplus,
        "Affine": lambda x: alpha * x + beta,
        "LeakyRelu": lambda x: functional.leaky_relu(x, alpha),
        "ThresholdedRelu": lambda x: torch.where(x > alpha, x, torch.zeros_like(x)),
        "ScaledTanh": lambda x: alpha * torch.tanh(beta * x),
        "HardSigmoid": lambda x: (alpha * x + beta).clamp(0, 1),
        "Elu": lambda x: functional.elu(x, alpha),
    }
    if name not in known:
        raise call.refused(f"the activation {name}")
    return known[name]


def run_steps(
    cell: Cell,
    gates: Tensor,
    states: list[Tensor],
    recurrent: Tensor,
    lengths: Tensor | None,
    is_reverse: bool,
) -> tuple[Tensor, list[Tensor]]:
    """The first state after each step [T, N, H], and all states after the last.

    Steps behind the end of a sequence change no state and give 0; so a sequence that is read from
    its end begins where it ends.
    """
    steps = range(gates.shape[0])
    results: dict[int, Tensor] = {}
    for step in reversed(steps) if is_reverse else steps:
        after = cell(gates[step], states, recurrent)
        results[step] = after[0]
        if lengths is not None:
            is_inside = (lengths > step).unsqueeze(-1)
            pairs = zip(after, states, strict=True)
            after = [torch.where(is_inside, new, old) for new, old in pairs]
            results[step] = torch.where(is_inside, after[0], torch.zeros_like(after[0]))
        states = after
    return torch.stack([results[step] for step in steps]), states
