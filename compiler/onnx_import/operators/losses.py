"""Losses of classification."""

import torch
from torch import Tensor

from ..call import Call
from ..registry import onnx_op


@onnx_op("NegativeLogLikelihoodLoss")
def negative_log_likelihood_loss(call: Call) -> Tensor:
    return _loss(call, call.tensor(0))


@onnx_op("SoftmaxCrossEntropyLoss")
def softmax_cross_entropy_loss(call: Call) -> tuple[Tensor, ...]:
    logarithms = torch.log_softmax(call.tensor(0), 1)
    return (_loss(call, logarithms), logarithms)[: call.output_count]


def _loss(call: Call, logarithms: Tensor) -> Tensor:
    """Minus the logarithms [N, C, ...] of the labels [N, ...], weighted by class, then reduced."""
    labels, weight = call.tensor(1).long(), call.optional(2)
    ignored = call.attributes.get("ignore_index")
    is_ignored = None if ignored is None else labels == ignored
    safe = labels if is_ignored is None else torch.where(is_ignored, 0, labels)
    losses = -logarithms.gather(1, safe.unsqueeze(1)).squeeze(1)
    weights = torch.ones_like(losses) if weight is None else weight[safe]
    if is_ignored is not None:
        weights = torch.where(is_ignored, torch.zeros_like(weights), weights)
    if weight is not None or is_ignored is not None:
        losses = losses * weights
    reduction = call.attribute("reduction", "mean")
    if reduction == "none":
        return losses
    if reduction == "sum":
        return losses.sum()
    if reduction != "mean":
        raise call.refused(f"attribute reduction is {reduction!r}")
    return losses.sum() / weights.sum()
