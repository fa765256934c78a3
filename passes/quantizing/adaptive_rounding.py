"""Learns whether each weight is rounded up or down.

Nagel et al. 2020, "Up or Down? Adaptive Rounding for Post-Training Quantization" (AdaRound).
"""

import torch
from torch import Tensor
from torch.fx import Node

from .layers import along, compute

_UPDATES = 500
_SAMPLES = 64  # images, or rows of linear layers times 16, in one update
_RATE = 0.02
_WORTH = 10.0  # of being undecided, by the error of rounding to the nearest
_WARM = 0.2  # of the updates before weights have to decide
_SHARPNESS = 20.0, 2.0  # of what being undecided costs: first only in the middle, then everywhere
_LOW, _HIGH = -0.1, 1.1  # between which the sigmoid is stretched, so that it reaches 0 and 1


def round_adaptively(
    layer: Node, weight: Tensor, scales: Tensor, bits: int, axis: int, x: Tensor, wanted: Tensor
) -> Tensor:
    """Integers [weight.shape] with which a layer's results are nearest to those that are wanted.

    Each weight becomes the integer below or above; which one is learned by gradient descent on the
    squared error, with a growing penalty for what is between.

    Args:
        layer: A convolution or linear layer.
        weight: Its real weight.
        scales: Its steps, along `axis`.
        bits: Integers are in [1 - 2^(bits - 1), 2^(bits - 1) - 1].
        axis: Of the output channels.
        x: What it reads, rounded as it will be: samples on dimension 0.
        wanted: What it gives for the real input, without its bias.
    """
    steps, largest = along(axis, scales, weight.dim()), 2 ** (bits - 1) - 1
    below = torch.floor(weight / steps)
    part = (weight / steps - below - _LOW) / (_HIGH - _LOW)
    logits = torch.logit(part.clamp(1e-4, 1 - 1e-4)).requires_grad_()
    optimizer = torch.optim.Adam([logits], lr=_RATE)
    generator = torch.Generator().manual_seed(0)
    count = min(len(x), _SAMPLES * (16 if x.dim() == 2 else 1))
    nearest = torch.round(weight / steps).clamp(-largest, largest) * steps
    worth = _WORTH * float((compute(layer, x, nearest) - wanted).square().mean())
    for update in range(_UPDATES):
        chosen = torch.randperm(len(x), generator=generator)[:count]
        up = _stretched(logits)
        rounded = (below + up).clamp(-largest, largest) * steps
        error = (compute(layer, x[chosen], rounded) - wanted[chosen]).square().mean()
        loss = error + worth * _undecided(up, update / _UPDATES)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    integers = below + (_stretched(logits.detach()) >= 0.5)
    return integers.clamp(-largest, largest).to(torch.int8)


def _stretched(logits: Tensor) -> Tensor:
    """The share of a step that is added to the integer below, in [0, 1]."""
    share: Tensor = (torch.sigmoid(logits) * (_HIGH - _LOW) + _LOW).clamp(0, 1)
    return share


def _undecided(up: Tensor, done: float) -> Tensor:
    """How far weights are from an integer, 0 to 1 each, summed up; nothing in the beginning."""
    if done < _WARM:
        return up.new_zeros(())
    first, last = _SHARPNESS
    exponent = last + (first - last) * (1 - (done - _WARM) / (1 - _WARM))
    total: Tensor = (1 - (2 * up - 1).abs().pow(exponent)).mean()
    return total
