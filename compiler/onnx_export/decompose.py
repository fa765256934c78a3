"""Operators that ONNX does not have, in terms of others: as PyTorch, or penjing, defines them."""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
import torch.ao.quantization.fx._decomposed as quantized_decomposed
from torch._decomp import core_aten_decompositions
from torch._ops import OpOverload
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule, Node
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils import _pytree as pytree

from ..frontend.export import quiet
from ..ir.inference import fake_of, specs_of
from ..ir.rewrite import arguments_of
from ..quantization import learned_steps as learned_steps  # registers what training leaves
from ..quantization.define import DEFINITIONS

_TOKENS: dict[str, Callable[..., Any]] = {  # steps for rows, in plain operators
    "choose_qparams_per_token": quantized_decomposed.choose_qparams_per_token,
    "choose_qparams_per_token_asymmetric": (
        quantized_decomposed._choose_qparams_per_token_asymmetric_impl
    ),
    "quantize_per_token": quantized_decomposed.quantize_per_token,
    "dequantize_per_token": quantized_decomposed.dequantize_per_token,
}


def decompose(node: Node) -> tuple[GraphModule, list[Node]] | None:
    """A graph that computes a call by other operators, and the nodes of its placeholders.

    None where neither PyTorch nor penjing defines the operator by others.
    """
    assert isinstance(node.target, OpOverload), node
    definition = definition_of(node.target)
    if definition is None:
        return None
    arguments = ordered_arguments(node)
    leaves, structure = pytree.tree_flatten(arguments)
    places = [index for index, leaf in enumerate(leaves) if isinstance(leaf, Node)]

    def call(*tensors: Any) -> Any:
        filled = list(leaves)
        for index, tensor in zip(places, tensors, strict=True):
            filled[index] = tensor
        return definition(*pytree.tree_unflatten(filled, structure))

    with quiet(), FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
        fakes = [
            torch.empty(value.shape, dtype=value.dtype)
            for value in (fake_of(specs_of(leaves[index].meta["val"])) for index in places)
        ]
        graph = make_fx(call, decomposition_table=_table())(*fakes)
    graph.graph.eliminate_dead_code()
    return graph, [leaves[index] for index in places]


def ordered_arguments(node: Node) -> tuple[Any, ...]:
    """The arguments of a call in the order of the schema, defaults included."""
    assert isinstance(node.target, OpOverload), node
    named = arguments_of(node)
    return tuple(named[argument.name] for argument in node.target._schema.arguments)


def definition_of(operator: OpOverload) -> Callable[..., Any] | None:
    """The function of the arguments in the order of the schema that defines an operator."""
    if operator.namespace == "penjing":
        return DEFINITIONS.get(operator._opname)
    if operator.namespace == "quantized_decomposed":
        return _TOKENS.get(operator._opname)
    return _in_order(operator) if operator in _table() else None


def _in_order(operator: OpOverload) -> Callable[..., Any]:
    """An operator that `make_fx` replaces by its decomposition, called by position."""
    schema = operator._schema.arguments
    by_name = [argument.name for argument in schema if argument.kwarg_only]

    def call(*arguments: Any) -> Any:
        split = len(arguments) - len(by_name)
        return operator(*arguments[:split], **dict(zip(by_name, arguments[split:], strict=True)))

    return call


@cache
def _table() -> dict[OpOverload, Callable[..., Any]]:
    return dict(core_aten_decompositions())
