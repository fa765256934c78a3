"""Which weights of a program are trained, and which of their elements stay zero."""

from collections.abc import Collection, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

from ..errors import CompileError
from ..ir.program import Program
from ..ir.rewrite import arguments_of

_ATEN = torch.ops.aten
PRODUCTS = {
    _ATEN.linear.default,
    _ATEN.conv1d.default,
    _ATEN.conv2d.default,
    _ATEN.conv3d.default,
    _ATEN.conv_transpose1d.default,
    _ATEN.conv_transpose2d.input,
    _ATEN.conv_transpose3d.input,
}
LAYERS = {
    *PRODUCTS,
    _ATEN.embedding.default,
    _ATEN.batch_norm.default,
    _ATEN.layer_norm.default,
    _ATEN.group_norm.default,
    _ATEN.rms_norm.default,
}
_ZEROS_STAY = "zeros_stay"


def make_trainable(
    program: Program, freeze: Collection[str] = (), *, embeddings: bool = True
) -> dict[str, nn.Parameter]:
    """The weights to train by name; plain tensors that a layer has as weight or bias become such.

    Parameters that need no gradient stay as they are, and so do tensors that are read otherwise:
    masks, positions, running statistics.

    Args:
        program: Plain weights of layers are replaced in place.
        freeze: Names of weights, or of modules that hold some, that are not trained.
        embeddings: Whether tables of embeddings are trained.

    Raises:
        CompileError: Nothing is left to train, or a name in `freeze` fits no weight.
    """
    _check_names(program, freeze)
    for node in _plain_weights_of_layers(program):
        program.replace_weight(node, nn.Parameter(program.weight(node)))
    tables = set() if embeddings else _tables(program)
    trained = {
        name: weight
        for name, weight in program.weights.items()
        if isinstance(weight, nn.Parameter)
        and weight.requires_grad
        and name not in tables
        and not names_weight(freeze, name)
    }
    if not trained:
        raise CompileError(
            "the program has no weights to train", fix="freeze fewer of them, or train embeddings"
        )
    return trained


def names_weight(patterns: Collection[str], name: str) -> bool:
    """Whether one of `patterns` is the name of a weight or of a module that holds it."""
    return any(name == pattern or name.startswith(f"{pattern}.") for pattern in patterns)


def optimizer_groups(
    program: Program, trained: dict[str, nn.Parameter], weight_decay: float
) -> list[dict[str, Any]]:
    """Parameter groups: matrices and kernels decay, vectors and embeddings do not.

    A row of an embedding that no sample uses would otherwise shrink to nothing. The group of
    `matrices` may be changed by what looks at more than single elements: none that keeps its zeros.
    """
    tables, masked = _tables(program), {str(node.target) for node in _marked(program)}
    matrices, kernels, vectors = [], [], []
    for name, weight in trained.items():
        if weight.dim() < 2 or name in tables:
            vectors.append(weight)
        elif weight.dim() > 2 or name in masked:
            kernels.append(weight)
        else:
            matrices.append(weight)
    return [
        {"params": matrices, "weight_decay": weight_decay, "matrices": True},
        {"params": kernels, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]


def keep_zeros(program: Program, node: Node) -> None:
    """Mark the weight that `node` reads: training leaves its zeros zero.

    The mark is in `meta`, so copying and saving the program keep it, and passes that slice or scale
    the weight need not know of it.
    """
    for reader in program.graph.find_nodes(op="get_attr", target=node.target):
        reader.meta[_ZEROS_STAY] = True


def zeros_stay(node: Node) -> bool:
    """Whether the weight that `node` reads is marked."""
    return bool(node.meta.get(_ZEROS_STAY))


def masks_of(program: Program) -> dict[str, Tensor]:
    """For each marked weight, which elements may change: those that are not zero."""
    return {str(node.target): program.weight(node).detach() != 0 for node in _marked(program)}


def _marked(program: Program) -> list[Node]:
    return [node for node in program.graph.find_nodes(op="get_attr") if zeros_stay(node)]


def _tables(program: Program) -> set[str]:
    """Names of the weights that are tables of embeddings."""
    found = program.graph.find_nodes(op="call_function", target=_ATEN.embedding.default)
    return {str(node.args[0].target) for node in found if isinstance(node.args[0], Node)}


def _plain_weights_of_layers(program: Program) -> Iterator[Node]:
    for node in list(program.graph.nodes):
        if node.op == "call_function" and node.target in LAYERS:
            arguments = arguments_of(node)
            for operand in (arguments["weight"], arguments.get("bias")):
                if isinstance(operand, Node) and operand.op == "get_attr":
                    weight = program.weight(operand)
                    if not isinstance(weight, nn.Parameter) and weight.is_floating_point():
                        yield operand


def _check_names(program: Program, freeze: Collection[str]) -> None:
    for pattern in freeze:
        if not any(names_weight([pattern], name) for name in program.weights):
            raise CompileError(
                f"freeze names no weight or module: {pattern!r}",
                fix=f"names are like {next(iter(program.weights), '(no weights)')}",
            )
