"""Steps of optimizers, which training graphs hold. Inputs are the rate, the time, then tensors."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..call import Call
from ..registry import onnx_op

_DOMAIN = "ai.onnx.preview.training"
Update = Callable[[Tensor, Tensor, list[Tensor]], list[Tensor]]


def _for_each(call: Call, kinds: int, update: Update) -> tuple[Tensor, ...]:
    """The results for each parameter; inputs and results are ordered by kind."""
    rate, time, *tensors = call.tensors()
    count = len(tensors) // kinds
    if len(tensors) != count * kinds:
        raise call.refused(f"{len(tensors)} tensors, not a multiple of {kinds}")
    results = [update(rate, time, tensors[index::count]) for index in range(count)]
    return tuple(result for kind in zip(*results, strict=True) for result in kind)


@onnx_op("Momentum", domain=_DOMAIN)
def momentum(call: Call) -> tuple[Tensor, ...]:
    alpha, beta, decay = (call.needed(name) for name in ("alpha", "beta", "norm_coefficient"))
    mode = call.needed("mode")
    if mode not in ("standard", "nesterov"):
        raise call.refused(f"attribute mode is {mode!r}")

    def update(rate: Tensor, time: Tensor, tensors: list[Tensor]) -> list[Tensor]:
        x, gradient, speed = tensors
        gradient = gradient + decay * x
        share = torch.where(time > 0, beta, 1.0).to(x.dtype)
        speed = alpha * speed + share * gradient
        step = speed if mode == "standard" else gradient + alpha * speed
        return [x - rate * step, speed]

    return _for_each(call, 3, update)


@onnx_op("Adagrad", domain=_DOMAIN)
def adagrad(call: Call) -> tuple[Tensor, ...]:
    epsilon, decay = call.attribute("epsilon", 1e-6), call.attribute("norm_coefficient", 0.0)
    slowing = call.attribute("decay_factor", 0.0)

    def update(rate: Tensor, time: Tensor, tensors: list[Tensor]) -> list[Tensor]:
        x, gradient, squares = tensors
        gradient = gradient + decay * x
        squares = squares + gradient * gradient
        slower = rate / (1 + time.to(x.dtype) * slowing)
        return [x - slower * gradient / (squares.sqrt() + epsilon), squares]

    return _for_each(call, 3, update)


@onnx_op("Adam", domain=_DOMAIN)
def adam(call: Call) -> tuple[Tensor, ...]:
    alpha, beta = call.attribute("alpha", 0.9), call.attribute("beta", 0.999)
    decay, after = (call.attribute(f"norm_coefficient{end}", 0.0) for end in ("", "_post"))
    epsilon = call.attribute("epsilon", 1e-6)

    def update(rate: Tensor, time: Tensor, tensors: list[Tensor]) -> list[Tensor]:
        x, gradient, speed, squares = tensors
        gradient = gradient + decay * x
        speed = alpha * speed + (1 - alpha) * gradient
        squares = beta * squares + (1 - beta) * (gradient * gradient)
        exact = time.to(x.dtype)
        corrected = rate * (1 - beta**exact).sqrt() / (1 - alpha**exact)
        rate = torch.where(time > 0, corrected, rate)
        return [(1 - after) * (x - rate * (speed / (squares.sqrt() + epsilon))), speed, squares]

    return _for_each(call, 4, update)
