"""Compile a small network for this machine, run it, save the library."""

import torch
from torch import nn

import penjing

model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(7200, 10)).eval()
x = torch.randn(1, 3, 32, 32)
artifact = penjing.compile(model, (x,), target="host")
print("largest difference:", abs(artifact.run(x)[0] - model(x).detach().numpy()).max())
artifact.save("build/quickstart")
print(artifact.report)
