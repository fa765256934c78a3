"""An operator of one's own: a Python function for PyTorch, a lowering rule for the library."""

from typing import Any

import torch
from torch import nn
from tvm import te, tirx

import penjing


@torch.library.custom_op("examples::squash", mutates_args=())
def squash(x: torch.Tensor, sharpness: float) -> torch.Tensor:
    """A cheap sigmoid: sx / (1 + |sx|) moved to (0, 1)."""
    scaled = sharpness * x
    return 0.5 * scaled / (1 + scaled.abs()) + 0.5


@squash.register_fake
def _(x: torch.Tensor, sharpness: float) -> torch.Tensor:
    return torch.empty_like(x)


@penjing.lowers(torch.ops.examples.squash.default)
def lower_squash(x: te.Tensor, sharpness: float, *, out: penjing.TensorSpec) -> te.Tensor:
    """out[i] = 0.5 * s x[i] / (1 + |s x[i]|) + 0.5."""

    def element(*index: Any) -> Any:
        scaled = x(*index) * tirx.const(sharpness, out.dtype)
        return 0.5 * scaled / (1.0 + tirx.max(scaled, -scaled)) + 0.5

    return te.compute(out.shape, element, name="squash")


class Gate(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(32, 32)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate: torch.Tensor = squash(self.linear(x), 2.0)
        return x * gate


def main() -> None:
    torch.manual_seed(0)
    model, x = Gate().eval(), torch.randn(4, 32)
    artifact = penjing.compile(model, (x,), target="host")
    print("largest difference:", abs(artifact.run(x)[0] - model(x).detach().numpy()).max())
    print(artifact.report)


if __name__ == "__main__":
    main()
