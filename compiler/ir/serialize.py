"""A program in one file: the graph as JSON text, the tensors as PyTorch stores them; no code."""

import importlib
import json
import operator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch._ops import OpOverload
from torch.fx import Graph, GraphModule, Node

from ..errors import CompileError
from .inference import fake_of, specs_of
from .program import Origin, Program
from .serialize_values import decode, encode
from .structure import Structure
from .weights import set_weight

FORMAT = 1
_REGISTERED_BY = {  # operators that importing penjing or torch alone does not register
    "quantized_decomposed": ("torch.ao.quantization.fx._decomposed",),
    "penjing": ("..exact", "..quantization.dynamic", "..quantization.learned_steps"),
}
_ATTRIBUTES = ("val", "origin")  # written apart; every other entry of meta is a plain value


def save_program(program: Program, path: Path) -> None:
    """Write a program to a file.

    Kept: the graph with all arguments, names, shapes, origins, regions and other plain entries of
    `meta`; weights with dtype and trainability; the nesting of inputs and outputs, in which
    classes of other libraries become dicts, lists and tuples.

    Raises:
        CompileError: An argument or an entry of `meta` is no plain value.
    """
    index = {node: number for number, node in enumerate(program.graph.nodes)}
    description = {
        "format": FORMAT,
        "nodes": [_encode_node(node, index) for node in program.graph.nodes],
        "input_names": program.input_names,
        "output_names": program.output_names,
        "in_spec": program.in_spec.to_plain(),
        "out_spec": program.out_spec.to_plain(),
    }
    weights = dict(program.weights)
    torch.save({"description": json.dumps(description), "weights": weights}, path)


def load_program(path: Path) -> Program:
    """The program that `save_program` wrote.

    Raises:
        CompileError: The file is of another format, or uses operators that are not registered.
    """
    content = torch.load(path, weights_only=True, map_location="cpu")
    if not isinstance(content, dict) or "description" not in content:
        raise CompileError("not a saved program", at=str(path), got=type(content).__name__)
    description = json.loads(content["description"])
    if description["format"] != FORMAT:
        raise CompileError(
            f"programs of format {FORMAT} can be loaded",
            at=str(path),
            got=f"format {description['format']}",
            fix="trace and save the model again",
        )
    graph = Graph()
    nodes: list[Node] = []
    for entry in description["nodes"]:
        nodes.append(_decode_node(entry, nodes, graph))
    module = GraphModule(nn.Module(), Graph())
    for name, tensor in content["weights"].items():
        set_weight(module, name, tensor)
    module.graph = graph
    return Program(
        module,
        tuple(description["input_names"]),
        tuple(description["output_names"]),
        Structure.from_plain(description["in_spec"]),
        Structure.from_plain(description["out_spec"]),
    )


def _encode_node(node: Node, index: dict[Node, int]) -> dict[str, Any]:
    meta = {key: value for key, value in node.meta.items() if key not in _ATTRIBUTES}
    entry: dict[str, Any] = {
        "name": node.name,
        "op": node.op,
        "target": _encode_target(node.target),
        "args": encode(node.args, index),
        "kwargs": encode(dict(node.kwargs), index),
        "meta": encode(meta, index),
    }
    if isinstance(origin := node.meta.get("origin"), Origin):
        entry["origin"] = [origin.module_path, origin.module_type, origin.source]
    if node.op != "output":
        entry["specs"] = encode(specs_of(node.meta["val"]), index)
    return entry


def _decode_node(entry: dict[str, Any], nodes: list[Node], graph: Graph) -> Node:
    node = graph.create_node(
        entry["op"],
        _decode_target(entry["op"], entry["target"]),
        decode(entry["args"], nodes),
        decode(entry["kwargs"], nodes),
        name=entry["name"],
    )
    node.meta = decode(entry["meta"], nodes)
    if "origin" in entry:
        node.meta["origin"] = Origin(*entry["origin"])
    if "specs" in entry:
        node.meta["val"] = fake_of(decode(entry["specs"], nodes))
    return node


def _encode_target(target: Any) -> str:
    if isinstance(target, OpOverload):
        return f"{target.namespace}.{target._opname}.{target._overloadname}"
    return "getitem" if target is operator.getitem else str(target)


def _decode_target(op: str, target: str) -> Any:
    if op != "call_function":
        return target
    if target == "getitem":
        return operator.getitem
    namespace, name, overload = target.split(".")
    for module in _REGISTERED_BY.get(namespace, ()):
        importlib.import_module(module, __package__)
    try:
        return getattr(getattr(getattr(torch.ops, namespace), name), overload)
    except AttributeError as error:
        raise CompileError(
            "the program uses an operator that is not registered",
            got=target,
            fix=f"import the library that defines {namespace}::{name} before loading",
        ) from error
