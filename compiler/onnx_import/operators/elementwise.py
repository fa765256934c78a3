"""Arithmetic, comparisons and functions of single elements."""

import torch
from torch import Tensor

from ..call import Call
from ..registry import onnx_op


@onnx_op("Add")
def add(call: Call) -> Tensor:
    return torch.add(call.tensor(0), call.tensor(1))


@onnx_op("Relu")
def relu(call: Call) -> Tensor:
    return torch.relu(call.tensor(0))
