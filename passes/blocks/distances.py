"""How far the outputs of a program are from those of another."""

from collections.abc import Iterable
from typing import Literal

from torch import Tensor
from torch.nn import functional

Distance = Literal["relative", "cosine", "kl"]


def distance(kind: Distance, got: Iterable[Tensor], wanted: Iterable[Tensor]) -> float:
    """The mean over the floating-point outputs, each [samples, ..., features], of one batch.

    "relative": ||got - wanted||^2 / ||wanted||^2; "cosine": 1 - cosine of the feature vectors,
    mean; "kl": KL(softmax(wanted) || softmax(got)) over the features in nats, mean.
    """
    pairs = [(a, b) for a, b in zip(got, wanted, strict=True) if b.is_floating_point()]
    found = [_distance(kind, left.double(), right.double()) for left, right in pairs]
    return sum(found) / max(1, len(found))


def _distance(kind: Distance, got: Tensor, wanted: Tensor) -> float:
    if kind == "relative":
        norm = wanted.square().sum().clamp_min(1e-30)
        return float((got - wanted).square().sum() / norm)
    if kind == "cosine":
        return float(1 - functional.cosine_similarity(got, wanted, dim=-1, eps=1e-12).mean())
    logs = got.log_softmax(-1), wanted.log_softmax(-1)
    pointwise = functional.kl_div(*logs, reduction="none", log_target=True)
    return float(pointwise.sum(-1).mean())
