"""A pass of one's own: trade the exact GELU for a cheaper one, and see what that costs."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import nn

import penjing
from penjing.compiler.ir.rewrite import insert_call, replace_call

aten = torch.ops.aten


@dataclass(frozen=True)
class ApproximateGelu(penjing.passes.Pass):
    """Replace gelu(x) by x * sigmoid(slope * x).

    Keeps: values within 0.021 of the exact ones at the default slope.
    """

    name: ClassVar = "approximate-gelu"
    contract: ClassVar = "tolerance"
    slope: float = 1.702

    def run(self, program: penjing.Program) -> int:
        gelus = [node for node in program.graph.nodes if node.target is aten.gelu.default]
        for node in gelus:
            x = node.args[0]
            scaled = insert_call(node, aten.mul.Scalar, x, self.slope)
            gate = insert_call(node, aten.sigmoid.default, scaled)
            replace_call(node, aten.mul.Tensor, x, gate)
        return len(gelus)


def main() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 256), nn.GELU(), nn.Linear(256, 64)).eval()
    x = torch.randn(8, 64)
    exact = penjing.compile(model, (x,), target="host")
    # The object and its text form mean the same: passes="approximate-gelu{slope=1.702}".
    cheap = penjing.compile(model, (x,), target="host", passes=[ApproximateGelu()])
    reference = model(x).detach().numpy()
    for title, artifact in (("exact", exact), ("approximate", cheap)):
        error = abs(artifact.run(x)[0] - reference).max()
        print(f"{title:<12} largest error {error:.1e}")
    print(penjing.optimize(penjing.trace(model, (x,)), "approximate-gelu"))


if __name__ == "__main__":
    main()
