"""Weights that kernels read in different ways, but that are to be stored once."""

import math

import torch
from torch.fx import Node

from ..ir.program import node_spec

_CAST = torch.ops.aten._to_copy.default
_LINEAR = torch.ops.aten.linear.default


def product_rows(weight: Node) -> int:
    """Rows that the first linear layer of this weight multiplies with it; 0 = there is none.

    The weight is then stored in panels for that product, and others can read it there: the token
    embedding of a language model is often also its last layer. Layers that widen it count too.
    """
    for user in weight.users:
        if user.target is _CAST and (rows := product_rows(user)):
            return rows
        if user.target is _LINEAR and user.args[1] is weight and len(node_spec(weight).shape) == 2:
            inputs = user.args[0]
            assert isinstance(inputs, Node), user.format_node()
            if node_spec(weight).shape[0] > 1:
                return math.prod(node_spec(inputs).shape[:-1])
    return 0
